"""Small parts that several transformers use."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.layers.positional_encoding import sine_encoding
from toolkit.model import BaseModule, ModuleList
from toolkit.utils import BuildError


def coordinate_to_encoding(
    coord_tensor: Tensor, num_feats: int = 128, temperature: float = 10000, scale: float = 2 * math.pi
) -> Tensor:
    """Points or boxes as sines and cosines.

    Args:
        coord_tensor: x, y or cx, cy, w, h from 0 to 1, (..., 2) or (..., 4).
        num_feats: Channels a coordinate.
        temperature: See `sine_encoding`.
        scale: Coordinates are multiplied by it.

    Returns:
        (..., 2·num_feats) or (..., 4·num_feats), y first.
    """
    codes = sine_encoding(coord_tensor * scale, num_feats, temperature)  # (..., 2 or 4, num_feats)
    order = [1, 0, *range(2, coord_tensor.size(-1))]
    return codes[..., order, :].flatten(-2)


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Logits of probabilities, of any shape; `eps` bounds them."""
    x = x.clamp(min=0, max=1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))


def moved(deltas: Tensor, references: Tensor, eps: float = 1e-5) -> Tensor:
    """Boxes that are `deltas` away from reference points or boxes, in logits.

    Args:
        deltas: (..., 4).
        references: x, y or cx, cy, w, h from 0 to 1, (..., 2) or (..., 4). Around a point, the delta of the
            size is the size itself.
        eps: Bounds the logits of the references.

    Returns:
        cx, cy, w, h from 0 to 1, (..., 4).
    """
    logits = inverse_sigmoid(references, eps)
    return (deltas + F.pad(logits, (0, deltas.size(-1) - logits.size(-1)))).sigmoid()


class MLP(BaseModule):
    """Linear layers with ReLU between them.

    State-dict keys: ``layers.{i}.*``.

    Args:
        input_dim: Channels of the input.
        hidden_dim: Channels inside.
        output_dim: Channels of the output.
        num_layers: How many linear layers.
    """

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, num_layers: int) -> None:
        super().__init__()
        self.num_layers = num_layers
        dims = [input_dim, *[hidden_dim] * (num_layers - 1), output_dim]
        self.layers = ModuleList(nn.Linear(a, b) for a, b in pairwise(dims))

    def forward(self, x: Tensor) -> Tensor:
        """(..., input_dim) to (..., output_dim)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class ConditionalAttention(BaseModule):
    """Attention whose queries and keys have a content part and a position part (Meng et al., "Conditional
    DETR for Fast Training Convergence", 2021).

    State-dict keys: ``qcontent_proj.*``, ``qpos_proj.*``, ``kcontent_proj.*``, ``kpos_proj.*``,
    ``v_proj.*``, ``out_proj.*``, and in cross attention ``qpos_sine_proj.*``.

    Args:
        embed_dims: Channels.
        num_heads: Heads.
        attn_drop: Dropout of the attention weights.
        proj_drop: Dropout of the output.
        cross_attn: Whether keys are others than queries; the two parts are then side by side in each head, in
            place of their sum.
        keep_query_pos: In cross attention, add the query's position to its content in all layers and not
            only in the first.
        batch_first: Only True.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: `batch_first` is False.
    """

    qpos_proj: nn.Linear | None

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        cross_attn: bool = False,
        keep_query_pos: bool = False,
        batch_first: bool = True,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if not batch_first:
            raise BuildError("batch_first of ConditionalAttention can only be True")
        self.cross_attn, self.keep_query_pos = cross_attn, keep_query_pos
        self.embed_dims, self.num_heads, self.batch_first = embed_dims, num_heads, batch_first
        self.attn_drop, self.proj_drop = nn.Dropout(attn_drop), nn.Dropout(proj_drop)
        self.qcontent_proj = nn.Linear(embed_dims, embed_dims)
        self.qpos_proj = nn.Linear(embed_dims, embed_dims)
        self.kcontent_proj = nn.Linear(embed_dims, embed_dims)
        self.kpos_proj = nn.Linear(embed_dims, embed_dims)
        self.v_proj = nn.Linear(embed_dims, embed_dims)
        if cross_attn:
            self.qpos_sine_proj = nn.Linear(embed_dims, embed_dims)
        self.out_proj = nn.Linear(embed_dims, embed_dims)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        query_pos: Tensor | None = None,
        ref_sine_embed: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        is_first: bool = False,
    ) -> Tensor:
        """Attend, and add the query. B images, Q queries, K keys, D channels.

        Args:
            query: (B, Q, D).
            key: (B, K, D), which is also the value. In self attention it is the query.
            query_pos: (B, Q, D).
            ref_sine_embed: The position part of the query in cross attention, (B, Q, D).
            key_pos: (B, K, D). In self attention it is `query_pos`.
            attn_mask: (Q, K) or (B·heads, Q, K) bool: True where a query must not look.
            key_padding_mask: (B, K) bool: True where no query may look.
            is_first: Whether this is the first layer.

        Returns:
            (B, Q, D).
        """
        if not self.cross_attn:
            key, key_pos = query, query_pos
        q, k = self.qcontent_proj(query), self.kcontent_proj(key)
        k_pos = self.kpos_proj(key_pos)
        if not self.cross_attn or is_first or self.keep_query_pos:
            assert self.qpos_proj is not None
            q, k = q + self.qpos_proj(query_pos), k + k_pos
        q, k, v = self._heads(q), self._heads(k), self._heads(self.v_proj(key))
        if self.cross_attn:
            q = torch.cat((q, self._heads(self.qpos_sine_proj(ref_sine_embed))), dim=-1)
            k = torch.cat((k, self._heads(k_pos)), dim=-1)
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=self._visible(attn_mask, key_padding_mask),
            dropout_p=self.attn_drop.p if self.training else 0.0,
        )
        return query + self.proj_drop(self.out_proj(out.transpose(1, 2).flatten(2)))

    def _heads(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, heads, N, D / heads)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _visible(self, attn_mask: Tensor | None, key_padding_mask: Tensor | None) -> Tensor | None:
        """Where queries may look, broadcast to (B, heads, Q, K)."""
        visible = None
        if attn_mask is not None:
            visible = ~attn_mask.bool()
            if visible.dim() == 3:
                visible = visible.unflatten(0, (-1, self.num_heads))
        if key_padding_mask is not None:
            keys = ~key_padding_mask.bool()[:, None, None, :]
            visible = keys if visible is None else visible & keys
        return visible
