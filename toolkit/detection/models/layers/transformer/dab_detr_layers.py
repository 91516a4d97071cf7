"""Encoder and decoder of DAB-DETR.

Shapes: B images, N places of the feature maps, Q queries, D channels.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.layers.transformer.conditional_detr_layers import (
    ConditionalDetrTransformerDecoderLayer,
)
from toolkit.detection.models.layers.transformer.detr_layers import (
    DetrTransformerDecoder,
    DetrTransformerEncoder,
)
from toolkit.detection.models.layers.transformer.utils import MLP, coordinate_to_encoding, moved
from toolkit.utils import BuildError

_SCALES = ("cond_elewise", "cond_scalar", "fix_elewise")


class DABDetrTransformerDecoderLayer(ConditionalDetrTransformerDecoderLayer):
    """A decoder layer of DAB-DETR, the same as that of Conditional DETR."""


class DABDetrTransformerEncoder(DetrTransformerEncoder):
    """An encoder that scales the positions in each layer by what it has encoded.

    State-dict keys: those of its base, ``query_scale.*``. Arguments are those of its base.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.query_scale = MLP(self.embed_dims, self.embed_dims, self.embed_dims, 2)

    def forward(
        self, query: Tensor, query_pos: Tensor, key_padding_mask: Tensor | None, **kwargs: Any
    ) -> Tensor:
        """(B, N, D) in and out; arguments as those of the layers."""
        for index in range(self.num_layers):
            scaled = query_pos * self.query_scale(query)
            query = self.run_layer(index, query, scaled, key_padding_mask, **kwargs)
        return query


class DABDetrTransformerDecoder(DetrTransformerDecoder):
    """A decoder whose queries are boxes, refined from layer to layer (Liu et al., "DAB-DETR: Dynamic Anchor
    Boxes are Better Queries for DETR", 2022).

    State-dict keys: those of its base, ``query_scale.*``, ``ref_point_head.*``, ``ref_anchor_head.*``.

    Args:
        *args: See `DetrTransformerDecoder`.
        query_dim: 4 for boxes, 2 for points.
        query_scale_type: Where the scale of the spatial query comes from: 'cond_elewise', from the query, a
            channel each; 'cond_scalar', from the query, one for all; 'fix_elewise', learned a layer.
        with_modulated_hw_attn: The attention's width and height follow those of the box.
        **kwargs: See `DetrTransformerDecoder`.

    Raises:
        BuildError: One of the arguments has a value that isn't named here, or points are to be modulated.
    """

    layer_type: ClassVar[Any] = DABDetrTransformerDecoderLayer

    def __init__(
        self,
        *args: Any,
        query_dim: int = 4,
        query_scale_type: str = "cond_elewise",
        with_modulated_hw_attn: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if query_dim not in (2, 4):
            raise BuildError(f"query_dim of DABDetrTransformerDecoder must be 2 or 4, got {query_dim!r}")
        if query_scale_type not in _SCALES:
            raise BuildError(f"query_scale_type must be one of {_SCALES}, got {query_scale_type!r}")
        if with_modulated_hw_attn and query_dim == 2:
            raise BuildError("with_modulated_hw_attn needs boxes: set query_dim=4")
        self.query_dim, self.query_scale_type = query_dim, query_scale_type
        self.with_modulated_hw_attn = with_modulated_hw_attn
        dims = self.embed_dims
        self.query_scale: nn.Module
        if query_scale_type == "fix_elewise":
            self.query_scale = nn.Embedding(self.num_layers, dims)
        else:
            self.query_scale = MLP(dims, dims, 1 if query_scale_type == "cond_scalar" else dims, 2)
        self.ref_point_head = MLP(query_dim // 2 * dims, dims, dims, 2)
        if with_modulated_hw_attn:
            self.ref_anchor_head = MLP(dims, dims, 2, 2)
        self.keep_query_pos = self.layers[0].cross_attn.keep_query_pos
        if not self.keep_query_pos:
            for layer in self.layers[1:]:
                layer.cross_attn.qpos_proj = None

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor,
        query_pos: Tensor,
        key_pos: Tensor,
        reg_branches: nn.Module,
        key_padding_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode.

        Args:
            query: (B, Q, D).
            key: The encoder's output, (B, N, D).
            query_pos: Boxes as logits of cx, cy, w, h, (B, Q, query_dim).
            key_pos: Positions of the keys, (B, N, D).
            reg_branches: The regression that refines the boxes after each layer.
            key_padding_mask: True where there is padding, (B, N).

        Returns:
            The outputs of the layers, (num_layers, B, Q, D), only of the last without
            `return_intermediate`; and the boxes before each layer, (num_layers, B, Q, query_dim) from 0 to 1.
        """
        boxes = query_pos.sigmoid()
        references, states = [boxes], []
        for index, layer in enumerate(self.layers):
            code = coordinate_to_encoding(boxes, num_feats=self.embed_dims // 2)
            pos = self.ref_point_head(code)
            query = layer(
                query,
                key,
                pos,
                key_pos,
                self._spatial(index, query, boxes, code[..., : self.embed_dims]),
                key_padding_mask=key_padding_mask,
                is_first=index == 0,
            )
            states.append(query)
            if index + 1 < self.num_layers:
                refined = moved(reg_branches(query)[..., : self.query_dim], boxes)
                references.append(refined)
                boxes = refined.detach()
        return self.normed(states), torch.stack(references)

    def _spatial(self, index: int, query: Tensor, boxes: Tensor, code: Tensor) -> Tensor:
        """The spatial query of a layer, (B, Q, D): the scaled code of the boxes' centres."""
        if self.query_scale_type == "fix_elewise":
            assert isinstance(self.query_scale, nn.Embedding)
            code = code * self.query_scale.weight[index]
        elif index > 0:
            code = code * self.query_scale(query)
        if self.with_modulated_hw_attn:
            # (B, Q, 2) as w, h; the code has y in its first half
            ratio = self.ref_anchor_head(query).sigmoid() / boxes[..., 2:]
            code = code * ratio.flip(-1).repeat_interleave(self.embed_dims // 2, dim=-1)
        return code
