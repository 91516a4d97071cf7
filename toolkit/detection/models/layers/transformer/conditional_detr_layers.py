"""Decoder of Conditional DETR.

Shapes: B images, N places of the feature maps, Q queries, D channels.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from toolkit.detection.models.layers.transformer.detr_layers import (
    DetrTransformerDecoder,
    DetrTransformerDecoderLayer,
)
from toolkit.detection.models.layers.transformer.utils import (
    MLP,
    ConditionalAttention,
    coordinate_to_encoding,
)


class ConditionalDetrTransformerDecoderLayer(DetrTransformerDecoderLayer):
    """A decoder layer with `ConditionalAttention`. Arguments and keys are those of its base."""

    self_attn_type: ClassVar[Any] = ConditionalAttention
    cross_attn_type: ClassVar[Any] = ConditionalAttention

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor,
        query_pos: Tensor,
        key_pos: Tensor,
        ref_sine_embed: Tensor,
        key_padding_mask: Tensor | None = None,
        self_attn_masks: Tensor | None = None,
        cross_attn_masks: Tensor | None = None,
        is_first: bool = False,
    ) -> Tensor:
        """(B, Q, D) in and out; see `ConditionalAttention.forward` for the arguments."""
        query = self.self_attn(query, query, query_pos, key_pos=query_pos, attn_mask=self_attn_masks)
        query = self.norms[0](query)
        query = self.cross_attn(
            query,
            key,
            query_pos,
            ref_sine_embed,
            key_pos,
            attn_mask=cross_attn_masks,
            key_padding_mask=key_padding_mask,
            is_first=is_first,
        )
        query = self.norms[1](query)
        return self.norms[2](self.ffn(query))


class ConditionalDetrTransformerDecoder(DetrTransformerDecoder):
    """A decoder whose cross attention has a spatial query of its own (Meng et al., "Conditional DETR for Fast
    Training Convergence", 2021).

    State-dict keys: those of its base, ``query_scale.*``, ``ref_point_head.*``. Arguments are those of its
    base.
    """

    layer_type: ClassVar[Any] = ConditionalDetrTransformerDecoderLayer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.query_scale = MLP(self.embed_dims, self.embed_dims, self.embed_dims, 2)
        self.ref_point_head = MLP(self.embed_dims, self.embed_dims, 2, 2)
        for layer in self.layers[1:]:
            layer.cross_attn.qpos_proj = None

    def forward(  # type: ignore[override]
        self,
        query: Tensor,
        key: Tensor,
        query_pos: Tensor,
        key_pos: Tensor,
        key_padding_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Decode; arguments as those of the layers.

        Returns:
            The outputs of the layers, (num_layers, B, Q, D), only of the last without
            `return_intermediate`; and the reference points of the queries, (B, Q, 2) from 0 to 1.
        """
        references = self.ref_point_head(query_pos).sigmoid()
        code = coordinate_to_encoding(references[..., :2], num_feats=self.embed_dims // 2)
        states = []
        for index, layer in enumerate(self.layers):
            query = layer(
                query,
                key,
                query_pos,
                key_pos,
                code if index == 0 else code * self.query_scale(query),
                key_padding_mask=key_padding_mask,
                is_first=index == 0,
            )
            states.append(query)
        return self.normed(states), references
