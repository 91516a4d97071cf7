"""Spatial attention over content and relative position, a plugin of residual blocks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.registry import MODELS
from toolkit.utils import BuildError

_WAVE_LENGTH = 1000.0
# The side of the largest map that a limited range is prepared for, by channels: stages 3 and 4 at 1333x800.
_LARGEST_MAP = {256: 84, 512: 42}


@MODELS.register_module()
class GeneralizedAttention(nn.Module):
    """Attention whose weights add up to four terms (Zhu et al., "An Empirical Study of Spatial Attention
    Mechanisms in Deep Networks", 2019).

    The terms: query and key content; query content and relative position; key content alone; relative
    position alone. The first two share the query, the last two have learned vectors in its place.

    Args:
        in_channels: Channels of the input and the output.
        spatial_range: Places further away, in rows or columns, are not attended to; -1: all are.
        num_heads: Heads of the attention.
        position_embedding_dim: Length of the sinusoidal embedding of positions; `in_channels` where it is
            not positive.
        position_magnitude: Positions are multiplied by it.
        kv_stride: Keys and values are every how many places.
        q_stride: The same of the queries; the output is then enlarged bilinearly.
        attention_type: The terms as four digits 0 or 1.

    Raises:
        BuildError: `attention_type` is something else, or `spatial_range` is set for other channels than
            256 and 512.
    """

    _abbr_ = "gen_attention_block"
    local_constraint_map: Tensor

    def __init__(
        self,
        in_channels: int,
        spatial_range: int = -1,
        num_heads: int = 9,
        position_embedding_dim: int = -1,
        position_magnitude: int = 1,
        kv_stride: int = 2,
        q_stride: int = 1,
        attention_type: str = "1111",
    ) -> None:
        super().__init__()
        if len(attention_type) != 4 or not set(attention_type) <= {"0", "1"} or "1" not in attention_type:
            raise BuildError(
                f"attention_type of GeneralizedAttention must be four digits 0 or 1, got {attention_type!r}"
            )
        self.in_channels, self.num_heads = in_channels, num_heads
        self.position_embedding_dim = position_embedding_dim if position_embedding_dim > 0 else in_channels
        self.position_magnitude = position_magnitude
        self.kv_stride, self.q_stride, self.spatial_range = kv_stride, q_stride, spatial_range
        self.attention_type = [digit == "1" for digit in attention_type]
        self.qk_embed_dim = self.v_dim = in_channels // num_heads
        by_content, by_position, key_alone, position_alone = self.attention_type
        width = self.qk_embed_dim * num_heads
        if by_content or by_position:
            self.query_conv = nn.Conv2d(in_channels, width, 1, bias=False)
        if by_content or key_alone:
            self.key_conv = nn.Conv2d(in_channels, width, 1, bias=False)
        self.value_conv = nn.Conv2d(in_channels, width, 1, bias=False)
        if by_position or position_alone:
            self.appr_geom_fc_x = nn.Linear(self.position_embedding_dim // 2, width, bias=False)
            self.appr_geom_fc_y = nn.Linear(self.position_embedding_dim // 2, width, bias=False)
        bound = 1 / math.sqrt(self.qk_embed_dim * 2)
        if key_alone:
            self.appr_bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        if position_alone:
            self.geom_bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.proj_conv = nn.Conv2d(width, in_channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        if spatial_range >= 0:
            self.register_buffer("local_constraint_map", self._far_places())
        self.init_weights()

    def init_weights(self) -> None:
        """Uniform with variance 1 / fan_in; the biases that stand in for queries are left."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_uniform_(module.weight, a=1, mode="fan_in", nonlinearity="leaky_relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _far_places(self) -> Tensor:
        """1 where a key is out of a query's range: uint8 (side, side, keys, keys)."""
        if self.in_channels not in _LARGEST_MAP:
            raise BuildError(
                f"spatial_range of GeneralizedAttention is for {sorted(_LARGEST_MAP)} channels, not for "
                f"{self.in_channels}; set spatial_range=-1"
            )
        side = _LARGEST_MAP[self.in_channels]
        query = torch.arange(side)[:, None]
        key = torch.arange((side - 1) // self.kv_stride + 1)[None, :]
        first = torch.div(query - self.spatial_range, self.kv_stride, rounding_mode="floor")
        last = torch.div(query + self.spatial_range + 1, self.kv_stride, rounding_mode="floor")
        near = (key >= first) & (key <= last)
        return (~(near[:, None, :, None] & near[None, :, None, :])).byte()

    def _embedding(self, queries: int, keys: int, like: Tensor) -> Tensor:
        """Sines and cosines of the distances along one axis: (queries, keys, position_embedding_dim / 2)."""
        options: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
        query = torch.arange(queries, **options) * self.q_stride
        key = torch.arange(keys, **options) * self.kv_stride
        distance = (query[:, None] - key[None, :]) * self.position_magnitude
        dim = self.position_embedding_dim
        step = torch.arange(0, dim / 4, **options)
        angle = distance[..., None] / torch.tensor(_WAVE_LENGTH, **options) ** (4.0 / dim * step)
        return torch.cat((angle.sin(), angle.cos()), dim=2)

    def _positions(self, fc: nn.Linear, queries: int, keys: int, like: Tensor) -> Tensor:
        """Projected embeddings of one axis: (num_heads, queries, keys, qk_embed_dim)."""
        projected = fc(self._embedding(queries, keys, like)) / math.sqrt(2)
        return projected.view(queries, keys, self.num_heads, self.qk_embed_dim).permute(2, 0, 1, 3)

    def _energy(self, x_q: Tensor, x_kv: Tensor) -> Tensor:
        """Attention before the softmax: (N, heads, h, w, h_kv, w_kv), 1 for h and w where they don't matter.

        Each pair of terms is one product, as the learned vector is added to the query first.
        """
        n, _, h, w = x_q.shape
        h_kv, w_kv = x_kv.shape[2:]
        by_content, by_position, key_alone, position_alone = self.attention_type
        heads = (self.num_heads, self.qk_embed_dim)
        nothing = x_q.new_zeros(())
        query: Tensor = nothing
        if by_content or by_position:
            query = self.query_conv(x_q).view(n, *heads, h, w).permute(0, 1, 3, 4, 2)
        energy: Tensor = nothing
        if by_content or key_alone:
            asked = query if by_content else nothing
            if key_alone:
                asked = asked + self.appr_bias.view(1, heads[0], 1, 1, heads[1])
            key = self.key_conv(x_kv).view(n, *heads, h_kv * w_kv)
            energy = (asked.flatten(2, 3) @ key).view(n, heads[0], *asked.shape[2:4], h_kv, w_kv)
        if by_position or position_alone:
            asked = query if by_position else nothing
            if position_alone:
                asked = asked + self.geom_bias.view(1, heads[0], 1, 1, heads[1])
            asked = asked.expand(n, heads[0], h, w, heads[1])
            across = torch.einsum(
                "nmhwc,mwkc->nmhwk", asked, self._positions(self.appr_geom_fc_x, w, w_kv, x_q)
            )
            if not position_alone and h == w:
                # MMCV takes the transposed queries here, and the weights were trained with that.
                asked = asked.transpose(2, 3)
            down = torch.einsum(
                "nmhwc,mhkc->nmhwk", asked, self._positions(self.appr_geom_fc_y, h, h_kv, x_q)
            )
            energy = energy + across.unsqueeze(4) + down.unsqueeze(5)
        return energy

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in, the same shape out."""
        x_q = x[:, :, :: self.q_stride, :: self.q_stride]
        x_kv = x[:, :, :: self.kv_stride, :: self.kv_stride]
        h_kv, w_kv = x_kv.shape[2:]
        energy = self._energy(x_q, x_kv)
        n, _, h, w = energy.shape[:4]
        if self.spatial_range >= 0:
            if (h, w) != x_q.shape[2:]:
                h, w = x_q.shape[2:]
                energy = energy.expand(-1, -1, h, w, -1, -1)
            energy = energy.masked_fill(self.local_constraint_map[:h, :w, :h_kv, :w_kv].bool(), -math.inf)
        attention = energy.reshape(n, self.num_heads, h * w, h_kv * w_kv).softmax(dim=3)
        value = self.value_conv(x_kv).view(n, self.num_heads, self.v_dim, h_kv * w_kv)
        out = (value @ attention.transpose(2, 3)).reshape(n, self.num_heads * self.v_dim, h, w)
        out = self.proj_conv(out)
        if self.q_stride > 1:
            out = F.interpolate(out, size=x.shape[2:], mode="bilinear", align_corners=False)
        return self.gamma * out + x
