"""Decoder of DINO.

Shapes: B images, L maps of N places in all, Q queries, D channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.layers.transformer.deformable_detr_layers import (
    DeformableDetrTransformerDecoder,
    Sizes,
    on_levels,
)
from toolkit.detection.models.layers.transformer.utils import MLP, coordinate_to_encoding, moved

Select = Callable[[int, Tensor, Tensor, Tensor | None], Tensor]


class DinoTransformerDecoder(DeformableDetrTransformerDecoder):
    """A decoder whose positions come from the boxes that it refines, and in which the gradients of a layer's
    boxes reach the layer before ("look forward twice"; Zhang et al., "DINO: DETR with Improved DeNoising
    Anchor Boxes", 2022).

    State-dict keys: ``layers.{i}.*``, ``ref_point_head.*``, ``norm.*``. Arguments are those of its base.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ref_point_head = MLP(self.embed_dims * 2, self.embed_dims, self.embed_dims, 2)
        self.norm = nn.LayerNorm(self.embed_dims)

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        self_attn_mask: Tensor | None,
        reference_points: Tensor,
        spatial_shapes: Sizes,
        valid_ratios: Tensor,
        reg_branches: Sequence[Callable[[Tensor], Tensor]],
        select: Select | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            query: (B, Q, D).
            value: The encoder's output, (B, N, D).
            key_padding_mask: True where there is padding, (B, N).
            self_attn_mask: True where a query must not look at another, (Q, Q).
            reference_points: Boxes as cx, cy, w, h from 0 to 1, (B, Q, 4).
            spatial_shapes: Height and width of each map.
            valid_ratios: See `DeformableDetrTransformerEncoder.forward`.
            reg_branches: A regression a layer.
            select: Called after each layer but the last with its number, its output, the boxes and the mask;
                gives the mask of the next layer.
            **kwargs: For the layers.

        Returns:
            The outputs of the layers after the norm, (num_layers, B, Q, D), and the boxes before the first
            layer and after each, (num_layers + 1, B, Q, 4); without `return_intermediate` the output of the
            last layer without the norm, (1, B, Q, D), and its boxes, (1, B, Q, 4).
        """
        states, references = [], [reference_points]
        for index, layer in enumerate(self.layers):
            places = on_levels(reference_points, valid_ratios)
            code = coordinate_to_encoding(places[:, :, 0], num_feats=self.embed_dims // 2)
            query = layer(
                query,
                query_pos=self.ref_point_head(code),
                value=value,
                key_padding_mask=key_padding_mask,
                self_attn_mask=self_attn_mask,
                spatial_shapes=spatial_shapes,
                reference_points=places,
                **kwargs,
            )
            refined = moved(reg_branches[index](query), reference_points, eps=1e-3)
            states.append(query)
            references.append(refined)
            reference_points = refined.detach()
            if select is not None and index + 1 < self.num_layers:
                self_attn_mask = select(index, query, reference_points, self_attn_mask)
        if not self.return_intermediate:
            return states[-1][None], reference_points[None]
        return self.norm(torch.stack(states)), torch.stack(references)
