"""Multi-head attention with positions and an identity connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from toolkit.model.base_module import BaseModule
from toolkit.model.transformer.drop import build_dropout
from toolkit.registry import MODELS

Cfg = Mapping[str, Any]
_DROPOUT = {"type": "Dropout", "drop_prob": 0.0}


@MODELS.register_module()
class MultiheadAttention(BaseModule):
    """`torch.nn.MultiheadAttention` to which positions are added, with an identity connection around it.

    State-dict keys: ``attn.in_proj_weight``, ``attn.in_proj_bias``, ``attn.out_proj.*``.

    The weights of the attention are not handed out, so that it runs as one fused operation.

    Args:
        embed_dims: Channels.
        num_heads: Heads.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout of the output.
        dropout_layer: Config of the dropout before the identity is added; None for none.
        init_cfg: See `BaseModule`.
        batch_first: Whether tensors are (batch, length, channels), or (length, batch, channels).
        dropout: An older way to set both `attn_drop` and the probability of `dropout_layer`.
        **kwargs: Further arguments of `torch.nn.MultiheadAttention`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: Cfg | None = _DROPOUT,
        init_cfg: Any = None,
        batch_first: bool = False,
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        if dropout is not None:
            attn_drop = dropout
            dropout_layer = {**(dropout_layer or _DROPOUT), "drop_prob": dropout}
        self.embed_dims, self.num_heads, self.batch_first = embed_dims, num_heads, batch_first
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, attn_drop, batch_first=batch_first, **kwargs)
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Attend. Shapes are those of `batch_first`; B images, Q queries, K keys, D channels.

        Args:
            query: (B, Q, D).
            key: (B, K, D); None: the query.
            value: (B, K, D); None: the key.
            identity: What is added to the output, (B, Q, D); None: the query.
            query_pos: Added to the query, (B, Q, D).
            key_pos: Added to the key, (B, K, D); None: `query_pos`, where it has the shape of the key.
            attn_mask: (Q, K) or (B·heads, Q, K): True where a query must not look.
            key_padding_mask: (B, K): True where no query may look.
            **kwargs: Not used; layers hand over all that they are given.

        Returns:
            (B, Q, D).
        """
        key = query if key is None else key
        value = key if value is None else value
        identity = query if identity is None else identity
        if key_pos is None and query_pos is not None and query_pos.shape == key.shape:
            key_pos = query_pos
        if key_pos is not None:
            key = key + key_pos
        if query_pos is not None:
            query = query + query_pos
        out = self.attn(
            query,
            key,
            value,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            need_weights=False,
        )[0]
        return identity + self.dropout_layer(self.proj_drop(out))
