"""Attention within windows of a map, which may be shifted."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.model.transformer import build_dropout
from toolkit.utils import BuildError

# What keeps places apart that are neighbours in a shifted window only; large enough for a softmax.
_APART = -100.0
_KEPT_MASKS = 8


class WindowMSA(BaseModule):
    """Multi-head attention within windows, with a learned bias for each relative position.

    State-dict keys: ``relative_position_bias_table``, ``relative_position_index``, ``qkv.*``, ``proj.*``.

    Args:
        embed_dims: Channels.
        num_heads: Heads.
        window_size: Height and width of the windows.
        qkv_bias: Whether queries, keys and values have a bias.
        qk_scale: Factor of the products; None: ``head_dim ** -0.5``.
        attn_drop_rate: Dropout of attention weights.
        proj_drop_rate: Dropout of the output.
        init_cfg: See `BaseModule`.
    """

    relative_position_index: Tensor

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: tuple[int, int],
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims, self.num_heads, self.window_size = embed_dims, num_heads, window_size
        self.scale = qk_scale or (embed_dims // num_heads) ** -0.5
        height, width = window_size
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * height - 1) * (2 * width - 1), num_heads)
        )
        self.register_buffer("relative_position_index", _relative_index(height, width))
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=qkv_bias)
        self.attn_drop_rate = attn_drop_rate
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(proj_drop_rate)

    def init_weights(self) -> None:
        """Small random biases."""
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def _bias(self) -> Tensor:
        """(heads, places, places)."""
        places = self.relative_position_index.shape[0]
        table = self.relative_position_bias_table[self.relative_position_index.flatten()]
        return table.view(places, places, self.num_heads).permute(2, 0, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within each window.

        Args:
            x: (B·windows, places, embed_dims), the windows of an image next to each other.
            mask: Added to the products, (windows, places, places).

        Returns:
            As `x`.
        """
        count, places, channels = x.shape
        windows = 1 if mask is None else mask.shape[0]
        qkv = self.qkv(x).view(count, places, 3, self.num_heads, channels // self.num_heads)
        bias = self._bias()
        if mask is not None:
            # Heads and windows share an axis, so that one addend serves all images.
            bias = (bias + mask.to(bias.dtype).unsqueeze(1)).flatten(0, 1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).reshape(3, count // windows, -1, places, qkv.shape[-1]).unbind()
        out = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=bias.to(q.dtype).unsqueeze(0),
            dropout_p=self.attn_drop_rate if self.training else 0.0,
            scale=self.scale,
        )
        out = out.reshape(count, self.num_heads, places, -1).transpose(1, 2).reshape(count, places, channels)
        return self.proj_drop(self.proj(out))


def _relative_index(height: int, width: int) -> Tensor:
    """For each pair of places in a window, the row of the bias table: int64 (places, places)."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    down = rows[:, None] - rows[None, :] + height - 1
    across = columns[:, None] - columns[None, :] + width - 1
    return down * (2 * width - 1) + across


class ShiftWindowMSA(BaseModule):
    """Attention within the windows of a map, which it pads to whole windows.

    Args:
        embed_dims: Channels.
        num_heads: Heads.
        window_size: Side of a window.
        shift_size: Windows start so many places to the right and below; the map is continued cyclically.
        qkv_bias: See `WindowMSA`.
        qk_scale: See `WindowMSA`.
        attn_drop_rate: See `WindowMSA`.
        proj_drop_rate: See `WindowMSA`.
        dropout_layer: Config of the dropout of the output.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The shift is not within the window.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int,
        shift_size: int = 0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        dropout_layer: dict[str, Any] | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if not 0 <= shift_size < window_size:
            raise BuildError(f"shift_size must be from 0 to {window_size - 1}, got {shift_size}")
        self.window_size, self.shift_size = window_size, shift_size
        self.w_msa = WindowMSA(
            embed_dims,
            num_heads,
            (window_size, window_size),
            qkv_bias,
            qk_scale,
            attn_drop_rate,
            proj_drop_rate,
        )
        self.drop = build_dropout(dropout_layer)

    def forward(self, query: Tensor, hw_shape: tuple[int, int]) -> Tensor:
        """(N, H·W, embed_dims) in and out; `hw_shape` is (H, W)."""
        size, shift = self.window_size, self.shift_size
        height, width = hw_shape
        x = query.unflatten(1, hw_shape)
        rows, columns = -height % size, -width % size
        x = F.pad(x, (0, 0, 0, columns, 0, rows))
        mask = None
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
            mask = _shift_mask(height + rows, width + columns, size, shift, x.device)
        n, channels = x.shape[0], x.shape[3]
        grid = ((height + rows) // size, (width + columns) // size)
        x = x.view(n, grid[0], size, grid[1], size, channels).transpose(2, 3)
        x = self.w_msa(x.reshape(-1, size * size, channels), mask)
        x = x.view(n, *grid, size, size, channels).transpose(2, 3).reshape(n, height + rows, -1, channels)
        if shift:
            x = torch.roll(x, (shift, shift), (1, 2))
        return self.drop(x[:, :height, :width].reshape(n, height * width, channels))


@lru_cache(maxsize=_KEPT_MASKS)
def _shift_mask(height: int, width: int, size: int, shift: int, device: torch.device) -> Tensor:
    """What is added to the products of a shifted map's windows: float32 (windows, size², size²).

    Blocks of one stage ask for the same one again and again.
    """
    with torch.inference_mode(False):  # one made while predicting must serve in training, too

        def band(length: int) -> Tensor:
            """Which of the three bands a row or column lies in: whole windows, before and behind the seam."""
            places = torch.arange(length, device=device)
            return (places >= length - size).int() + (places >= length - shift).int()

        regions = 3 * band(height)[:, None] + band(width)[None, :]
        windows = regions.view(height // size, size, width // size, size).transpose(1, 2)
        windows = windows.reshape(-1, size * size)
        apart = windows[:, :, None] != windows[:, None, :]
        return torch.zeros(apart.shape, device=device).masked_fill_(apart, _APART)
