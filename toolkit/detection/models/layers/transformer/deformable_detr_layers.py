"""Encoder and decoder of Deformable DETR.

Shapes: B images, L maps of N places in all, Q queries, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.layers.transformer.detr_layers import (
    Cfg,
    DetrTransformerDecoder,
    DetrTransformerDecoderLayer,
    DetrTransformerEncoder,
    DetrTransformerEncoderLayer,
)
from toolkit.detection.models.layers.transformer.utils import moved
from toolkit.model.transformer import MultiScaleDeformableAttention
from toolkit.utils import BuildError

Sizes = Sequence[tuple[int, int]]


class DeformableDetrTransformerEncoderLayer(DetrTransformerEncoderLayer):
    """An encoder layer with deformable attention. Arguments and keys are those of its base."""

    self_attn_type: ClassVar[Any] = MultiScaleDeformableAttention


class DeformableDetrTransformerDecoderLayer(DetrTransformerDecoderLayer):
    """A decoder layer with deformable cross attention. Arguments and keys are those of its base."""

    cross_attn_type: ClassVar[Any] = MultiScaleDeformableAttention


class DeformableDetrTransformerEncoder(DetrTransformerEncoder):
    """Encoder layers with deformable attention (Zhu et al., "Deformable DETR", 2020). Arguments and keys are
    those of its base.
    """

    layer_type: ClassVar[Any] = DeformableDetrTransformerEncoderLayer

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        query_pos: Tensor,
        key_padding_mask: Tensor | None,
        spatial_shapes: Sizes,
        valid_ratios: Tensor,
        **kwargs: Any,
    ) -> Tensor:
        """(B, N, D) in and out.

        Args:
            query: Places of all maps, one map after the other.
            query_pos: Positions, (B, N, D).
            key_padding_mask: True where there is padding, (B, N).
            spatial_shapes: Height and width of each map.
            valid_ratios: The part of each map's width and height that isn't padding, (B, L, 2).
            **kwargs: For the layers.
        """
        references = self.get_encoder_reference_points(spatial_shapes, valid_ratios)
        return super().forward(
            query,
            query_pos,
            key_padding_mask,
            spatial_shapes=spatial_shapes,
            reference_points=references,
            **kwargs,
        )

    @staticmethod
    def get_encoder_reference_points(spatial_shapes: Sizes, valid_ratios: Tensor) -> Tensor:
        """The middle of each place, from 0 to 1 over each map, (B, N, L, 2) as x, y."""
        device = valid_ratios.device
        points = []
        for level, (height, width) in enumerate(spatial_shapes):
            y, x = torch.meshgrid(
                torch.linspace(0.5, height - 0.5, height, device=device),
                torch.linspace(0.5, width - 0.5, width, device=device),
                indexing="ij",
            )
            size = valid_ratios[:, None, level] * valid_ratios.new_tensor([width, height])
            points.append(torch.stack((x.flatten(), y.flatten()), dim=-1) / size)
        return torch.cat(points, dim=1)[:, :, None] * valid_ratios[:, None]


class DeformableDetrTransformerDecoder(DetrTransformerDecoder):
    """Decoder layers with deformable attention, each of which may refine the reference boxes.

    State-dict keys: ``layers.{i}.*``. Arguments are those of its base; `post_norm_cfg` must be None.

    Raises:
        BuildError: There is a `post_norm_cfg`.
    """

    layer_type: ClassVar[Any] = DeformableDetrTransformerDecoderLayer

    def _init_norm(self, post_norm_cfg: Cfg | None) -> None:
        if post_norm_cfg is not None:
            raise BuildError(f"{type(self).__name__} has no norm at its end: set post_norm_cfg=None")

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        query_pos: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        reference_points: Tensor,
        spatial_shapes: Sizes,
        valid_ratios: Tensor,
        reg_branches: nn.ModuleList | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            query: (B, Q, D).
            query_pos: (B, Q, D).
            value: The encoder's output, (B, N, D).
            key_padding_mask: True where there is padding, (B, N).
            reference_points: Points (B, Q, 2) or boxes (B, Q, 4) as cx, cy, w, h, from 0 to 1.
            spatial_shapes: Height and width of each map.
            valid_ratios: See `DeformableDetrTransformerEncoder.forward`.
            reg_branches: A regression a layer; None: references stay as they are.
            **kwargs: For the layers.

        Returns:
            The outputs of the layers, (num_layers, B, Q, D), and the references after each of them,
            (num_layers, B, Q, 2 or 4); of the last layer only without `return_intermediate`.
        """
        states, references = [], []
        for index, layer in enumerate(self.layers):
            query = layer(
                query,
                query_pos=query_pos,
                value=value,
                key_padding_mask=key_padding_mask,
                spatial_shapes=spatial_shapes,
                reference_points=on_levels(reference_points, valid_ratios),
                **kwargs,
            )
            if reg_branches is not None:
                reference_points = moved(reg_branches[index](query), reference_points).detach()
            states.append(query)
            references.append(reference_points)
        if not self.return_intermediate:
            return states[-1][None], references[-1][None]
        return torch.stack(states), torch.stack(references)


def on_levels(references: Tensor, valid_ratios: Tensor) -> Tensor:
    """References over what isn't padding, (B, Q, 2 or 4), to references over each map, (B, Q, L, 2 or 4)."""
    return references[:, :, None] * valid_ratios.repeat(1, 1, references.size(-1) // 2)[:, None]
