"""Multi-scale deformable attention, without operations of our own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model.base_module import BaseModule
from toolkit.model.weight_init import constant_init, xavier_init
from toolkit.registry import MODELS
from toolkit.utils import BuildError

Shapes = Tensor | Sequence[tuple[int, int]]


def multi_scale_deformable_attn(
    value: Tensor, spatial_shapes: Shapes, sampling_locations: Tensor, attention_weights: Tensor
) -> Tensor:
    """Weighted means of values at places between those of some maps.

    Args:
        value: (B, N, heads, D), the places of all maps one after the other.
        spatial_shapes: Height and width of each map, L of them. A sequence of numbers needs no look at the
            device.
        sampling_locations: (B, Q, heads, L, P, 2), x and y from 0 to 1 over a map, outside of which values
            are 0.
        attention_weights: (B, Q, heads, L, P).

    Returns:
        (B, Q, heads·D).
    """
    batch, _, heads, dims = value.shape
    queries, levels, points = sampling_locations.shape[1], *sampling_locations.shape[3:5]
    sizes = level_sizes(spatial_shapes)
    grids = (2 * sampling_locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)  # (L, B·heads, Q, P, 2)
    maps = value.permute(0, 2, 3, 1).flatten(0, 1)  # (B·heads, D, N)
    sampled = [
        F.grid_sample(one.unflatten(-1, size), grid, mode="bilinear", align_corners=False)
        for one, size, grid in zip(maps.split([h * w for h, w in sizes], dim=-1), sizes, grids, strict=True)
    ]
    weights = attention_weights.transpose(1, 2).reshape(batch * heads, 1, queries, levels * points)
    out = (torch.cat(sampled, dim=-1) * weights).sum(-1)  # (B·heads, D, Q)
    return out.view(batch, heads * dims, queries).transpose(1, 2).contiguous()


def level_sizes(spatial_shapes: Shapes) -> list[tuple[int, int]]:
    """Heights and widths as numbers; reading them out of a tensor waits for its device."""
    pairs = spatial_shapes.tolist() if isinstance(spatial_shapes, Tensor) else spatial_shapes
    return [(int(height), int(width)) for height, width in pairs]


@MODELS.register_module()
class MultiScaleDeformableAttention(BaseModule):
    """Attention to a few places around a reference point, in maps of several sizes (Zhu et al., "Deformable
    DETR", 2020).

    State-dict keys: ``sampling_offsets.*``, ``attention_weights.*``, ``value_proj.*``, ``output_proj.*``.

    Args:
        embed_dims: Channels.
        num_heads: Heads.
        num_levels: How many maps.
        num_points: Places a head looks at in each map.
        im2col_step: Accepted for configs of MMDetection; not needed here.
        dropout: Dropout of the output.
        batch_first: Whether tensors are (batch, length, channels), or (length, batch, channels).
        norm_cfg: Not used.
        init_cfg: See `BaseModule`.
        value_proj_ratio: Channels of the values, as a part of `embed_dims`.

    Raises:
        BuildError: `embed_dims` can't be divided among the heads.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        num_heads: int = 8,
        num_levels: int = 4,
        num_points: int = 4,
        im2col_step: int = 64,
        dropout: float = 0.1,
        batch_first: bool = False,
        norm_cfg: Any = None,
        init_cfg: Any = None,
        value_proj_ratio: float = 1.0,
    ) -> None:
        super().__init__(init_cfg)
        if embed_dims % num_heads:
            raise BuildError(
                f"embed_dims of MultiScaleDeformableAttention must be a multiple of num_heads, "
                f"got {embed_dims} and {num_heads}"
            )
        self.norm_cfg, self.im2col_step, self.batch_first = norm_cfg, im2col_step, batch_first
        self.dropout = nn.Dropout(dropout)
        self.embed_dims, self.num_heads = embed_dims, num_heads
        self.num_levels, self.num_points = num_levels, num_points
        places = num_heads * num_levels * num_points
        self.sampling_offsets = nn.Linear(embed_dims, places * 2)
        self.attention_weights = nn.Linear(embed_dims, places)
        channels = int(embed_dims * value_proj_ratio)
        self.value_proj = nn.Linear(embed_dims, channels)
        self.output_proj = nn.Linear(channels, embed_dims)
        self.init_weights()

    def init_weights(self) -> None:
        """Heads look in as many directions, the i-th point i + 1 steps away, all with the same weight."""
        constant_init(self.sampling_offsets, 0.0)
        angles = torch.arange(self.num_heads, dtype=torch.float32) * (2.0 * math.pi / self.num_heads)
        directions = torch.stack((angles.cos(), angles.sin()), dim=-1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        steps = torch.arange(1.0, self.num_points + 1)
        offsets = directions[:, None, None, :] * steps[:, None]  # (heads, 1, P, 2)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.num_levels, -1, -1).flatten())
        constant_init(self.attention_weights, 0.0)
        xavier_init(self.value_proj, distribution="uniform")
        xavier_init(self.output_proj, distribution="uniform")
        self._is_init = True

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        reference_points: Tensor | None = None,
        spatial_shapes: Shapes = (),
        level_start_index: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Attend. Shapes are those of `batch_first`; B images, Q queries, L maps of N places in all.

        Args:
            query: (B, Q, D).
            key: Not used.
            value: (B, N, D); None: the query.
            identity: What is added to the output, (B, Q, D); None: the query.
            query_pos: Added to the query, (B, Q, D).
            key_padding_mask: (B, N): True where the value counts as 0.
            reference_points: From 0 to 1 over each map: points x, y, (B, Q, L, 2); or boxes cx, cy, w, h,
                (B, Q, L, 4), within whose size the offsets are.
            spatial_shapes: Height and width of each map.
            level_start_index: Not used.
            **kwargs: Not used.

        Returns:
            (B, Q, D).
        """
        assert reference_points is not None
        value = query if value is None else value
        identity = query if identity is None else identity
        if query_pos is not None:
            query = query + query_pos
        if not self.batch_first:
            query, value = query.transpose(0, 1), value.transpose(0, 1)
        batch, queries, _ = query.shape
        value = self.value_proj(value)
        if key_padding_mask is not None:
            value = value.masked_fill(key_padding_mask[..., None], 0.0)
        sizes = level_sizes(spatial_shapes)
        shape = (batch, queries, self.num_heads, self.num_levels, self.num_points)
        weights = self.attention_weights(query).view(*shape[:3], -1).softmax(-1).view(shape)
        locations = self._locations(self.sampling_offsets(query).view(*shape, 2), reference_points, sizes)
        out = multi_scale_deformable_attn(
            value.unflatten(-1, (self.num_heads, -1)), sizes, locations, weights
        )
        out = self.output_proj(out)
        if not self.batch_first:
            out = out.transpose(0, 1)
        return self.dropout(out) + identity

    def _locations(self, offsets: Tensor, references: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
        """Where to look, (B, Q, heads, L, P, 2), from 0 to 1 over each map."""
        points = references[:, :, None, :, None, :]
        if references.size(-1) == 2:
            scale = offsets.new_tensor([(width, height) for height, width in sizes])
            return points + offsets / scale[:, None, :]
        return points[..., :2] + offsets / self.num_points * points[..., 2:] * 0.5
