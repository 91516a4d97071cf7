"""Encoder and decoder of DETR, which are also the templates of its successors'.

Shapes: B images, N places of the feature maps, Q queries, D channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from toolkit.model import BaseModule, ModuleList
from toolkit.model.cnn import build_norm_layer
from toolkit.model.transformer import FFN, MultiheadAttention
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]
_ATTENTION = {"embed_dims": 256, "num_heads": 8, "dropout": 0.0}
_FFN = {
    "embed_dims": 256,
    "feedforward_channels": 1024,
    "num_fcs": 2,
    "ffn_drop": 0.0,
    "act_cfg": {"type": "ReLU", "inplace": True},
}
_NORM = {"type": "LN"}


def batch_first(cfg: Cfg, owner: str) -> dict[str, Any]:
    """The config of an attention whose tensors have the batch first.

    Raises:
        BuildError: It says that they don't.
    """
    if not cfg.get("batch_first", True):
        raise BuildError(f"batch_first of the attentions of {owner} can only be True; leave it out")
    return {**cfg, "batch_first": True}


class DetrTransformerEncoderLayer(BaseModule):
    """Self attention and a feed-forward network, each followed by a norm.

    State-dict keys: ``self_attn.*``, ``ffn.*``, ``norms.{0,1}.*``.

    Args:
        self_attn_cfg: Arguments of the attention.
        ffn_cfg: Arguments of `FFN`.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.
    """

    self_attn_type: ClassVar[Any] = MultiheadAttention

    def __init__(
        self,
        self_attn_cfg: Cfg = _ATTENTION,
        ffn_cfg: Cfg = _FFN,
        norm_cfg: Cfg = _NORM,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.self_attn = self.self_attn_type(**batch_first(self_attn_cfg, type(self).__name__))
        self.embed_dims: int = self.self_attn.embed_dims
        self.ffn = FFN(**ffn_cfg)
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(2))

    def forward(
        self, query: Tensor, query_pos: Tensor, key_padding_mask: Tensor | None, **kwargs: Any
    ) -> Tensor:
        """(B, N, D) in and out.

        Args:
            query: What is encoded.
            query_pos: Positions, (B, N, D).
            key_padding_mask: True where there is padding, (B, N).
            **kwargs: For the attention.
        """
        query = self.self_attn(
            query,
            query,
            query,
            query_pos=query_pos,
            key_pos=query_pos,
            key_padding_mask=key_padding_mask,
            **kwargs,
        )
        query = self.norms[0](query)
        return self.norms[1](self.ffn(query))


class DetrTransformerDecoderLayer(BaseModule):
    """Self attention, cross attention and a feed-forward network, each followed by a norm.

    State-dict keys: ``self_attn.*``, ``cross_attn.*``, ``ffn.*``, ``norms.{0,1,2}.*``.

    Args:
        self_attn_cfg: Arguments of the attention among queries.
        cross_attn_cfg: Arguments of the attention to the encoder's output.
        ffn_cfg: Arguments of `FFN`.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.
    """

    self_attn_type: ClassVar[Any] = MultiheadAttention
    cross_attn_type: ClassVar[Any] = MultiheadAttention

    def __init__(
        self,
        self_attn_cfg: Cfg = _ATTENTION,
        cross_attn_cfg: Cfg = _ATTENTION,
        ffn_cfg: Cfg = _FFN,
        norm_cfg: Cfg = _NORM,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.self_attn = self.self_attn_type(**batch_first(self_attn_cfg, type(self).__name__))
        self.cross_attn = self.cross_attn_type(**batch_first(cross_attn_cfg, type(self).__name__))
        self.embed_dims: int = self.self_attn.embed_dims
        self.ffn = FFN(**ffn_cfg)
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(3))

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        self_attn_mask: Tensor | None = None,
        cross_attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """(B, Q, D) in and out.

        Args:
            query: Queries.
            key: The encoder's output, (B, N, D).
            value: The same, where the cross attention takes no keys.
            query_pos: Positions of the queries, (B, Q, D).
            key_pos: Positions of the keys, (B, N, D).
            self_attn_mask: True where a query must not look at another, (Q, Q).
            cross_attn_mask: True where a query must not look at a key, (Q, N) or (B·heads, Q, N).
            key_padding_mask: True where there is padding, (B, N).
            **kwargs: For the cross attention.
        """
        query = self.self_attn(
            query, query, query, query_pos=query_pos, key_pos=query_pos, attn_mask=self_attn_mask
        )
        query = self.norms[0](query)
        query = self.cross_attn(
            query,
            key,
            value,
            query_pos=query_pos,
            key_pos=key_pos,
            attn_mask=cross_attn_mask,
            key_padding_mask=key_padding_mask,
            **kwargs,
        )
        query = self.norms[1](query)
        return self.norms[2](self.ffn(query))


class DetrTransformerEncoder(BaseModule):
    """Encoder layers one after the other (Carion et al., "End-to-End Object Detection with Transformers",
    2020).

    State-dict keys: ``layers.{i}.*``.

    Args:
        num_layers: How many.
        layer_cfg: Arguments of each.
        num_cp: The first so many layers are computed again for the gradients, in place of keeping what they
            compute; -1 for none.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: `num_cp` is more than `num_layers`.
    """

    layer_type: ClassVar[Any] = DetrTransformerEncoderLayer

    def __init__(self, num_layers: int, layer_cfg: Cfg, num_cp: int = -1, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        if num_cp > num_layers:
            raise BuildError(f"num_cp of {type(self).__name__} is {num_cp}, there are {num_layers} layers")
        self.num_layers, self.num_cp = num_layers, num_cp
        layers = [self.layer_type(**layer_cfg) for _ in range(num_layers)]
        self.layers: Any = ModuleList(layers)
        self.embed_dims: int = layers[0].embed_dims

    def forward(
        self, query: Tensor, query_pos: Tensor, key_padding_mask: Tensor | None, **kwargs: Any
    ) -> Tensor:
        """(B, N, D) in and out; arguments as those of the layers."""
        for index in range(self.num_layers):
            query = self.run_layer(index, query, query_pos, key_padding_mask, **kwargs)
        return query

    def run_layer(self, index: int, *args: Any, **kwargs: Any) -> Tensor:
        """The output of a layer, of whose inside nothing is kept where `num_cp` says so."""
        layer = self.layers[index]
        if index < self.num_cp and self.training and torch.is_grad_enabled():
            return checkpoint(layer, *args, use_reentrant=False, **kwargs)
        return layer(*args, **kwargs)


class DetrTransformerDecoder(BaseModule):
    """Decoder layers one after the other, with a norm for what comes out of each.

    State-dict keys: ``layers.{i}.*``, ``post_norm.*``.

    Args:
        num_layers: How many.
        layer_cfg: Arguments of each.
        post_norm_cfg: Config of the norm; None for none, in decoders that have none.
        return_intermediate: Give the output of each layer, not only of the last.
        init_cfg: See `BaseModule`.
    """

    layer_type: ClassVar[Any] = DetrTransformerDecoderLayer

    def __init__(
        self,
        num_layers: int,
        layer_cfg: Cfg,
        post_norm_cfg: Cfg | None = _NORM,
        return_intermediate: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_layers, self.return_intermediate = num_layers, return_intermediate
        layers = [self.layer_type(**layer_cfg) for _ in range(num_layers)]
        self.layers: Any = ModuleList(layers)
        self.embed_dims: int = layers[0].embed_dims
        self._init_norm(post_norm_cfg)

    def _init_norm(self, post_norm_cfg: Cfg | None) -> None:
        if post_norm_cfg is None:
            raise BuildError(f"{type(self).__name__} needs a post_norm_cfg")
        self.post_norm: nn.Module = build_norm_layer(post_norm_cfg, self.embed_dims)[1]

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        query_pos: Tensor,
        key_pos: Tensor,
        key_padding_mask: Tensor | None,
        **kwargs: Any,
    ) -> Tensor:
        """Decode; arguments as those of the layers.

        Returns:
            (num_layers, B, Q, D), or with `return_intermediate` off (1, B, Q, D).
        """
        states = []
        for layer in self.layers:
            query = layer(
                query,
                key=key,
                value=value,
                query_pos=query_pos,
                key_pos=key_pos,
                key_padding_mask=key_padding_mask,
                **kwargs,
            )
            states.append(query)
        return self.normed(states)

    def normed(self, states: list[Tensor]) -> Tensor:
        """The outputs of the layers after the norm, stacked; only the last without `return_intermediate`."""
        return self.post_norm(torch.stack(states if self.return_intermediate else states[-1:]))
