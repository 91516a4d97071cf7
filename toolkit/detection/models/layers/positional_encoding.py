"""Where a place of a map is, as a vector."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.utils import BuildError


def sine_encoding(positions: Tensor, num_feats: int, temperature: float = 10000) -> Tensor:
    """Sines and cosines of positions, alternating, of wavelengths from 2π to 2π·temperature.

    Args:
        positions: (...).
        num_feats: Length of the vectors.
        temperature: See above.

    Returns:
        (..., num_feats).
    """
    steps = torch.arange(num_feats, dtype=torch.float32, device=positions.device)
    wavelengths = temperature ** (2 * (steps // 2) / num_feats)
    angles = positions[..., None] / wavelengths
    return torch.stack((angles[..., 0::2].sin(), angles[..., 1::2].cos()), dim=-1).flatten(-2)


@MODELS.register_module()
class SinePositionalEncoding(BaseModule):
    """Positions as sines and cosines, the row in the first half of the channels and the column in the second
    (Carion et al., "End-to-End Object Detection with Transformers", 2020).

    Args:
        num_feats: Channels of each of the two.
        temperature: See `sine_encoding`.
        normalize: Count from 0 to `scale` over what isn't padding, in place of pixels from 1.
        scale: See `normalize`.
        eps: Added to what is divided by.
        offset: Added to the pixel counts before they are normalised; -0.5 gives the middles of pixels.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: `normalize` is set and `scale` is not a number.
    """

    def __init__(
        self,
        num_feats: int,
        temperature: float = 10000,
        normalize: bool = False,
        scale: float = 2 * math.pi,
        eps: float = 1e-6,
        offset: float = 0.0,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if normalize and not isinstance(scale, (int, float)):
            raise BuildError(f"scale of {type(self).__name__} must be a number, got {scale!r}")
        self.num_feats, self.temperature = num_feats, temperature
        self.normalize, self.scale, self.eps, self.offset = normalize, scale, eps, offset

    def forward(self, mask: Tensor | None, input: Tensor | None = None) -> Tensor:
        """Encodings of all places.

        Args:
            mask: Which places are padding, (B, H, W) bool; None: none are.
            input: A map (B, C, H, W) whose size is taken where there is no mask.

        Returns:
            (B, 2·num_feats, H, W).
        """
        if mask is not None:
            valid = (~mask.bool()).float()
            rows, cols = self._encode(valid.cumsum(1), 1), self._encode(valid.cumsum(2), 2)
            return torch.cat((rows, cols), dim=3).permute(0, 3, 1, 2)
        assert input is not None, "either a mask or a map is needed"
        batch, _, height, width = input.shape
        # Without padding a row's code is the same in every column, so each is computed once.
        count = torch.arange(1, max(height, width) + 1, dtype=torch.float32, device=input.device)
        rows = self._encode(count[:height], 0).T[:, :, None].expand(-1, -1, width)
        cols = self._encode(count[:width], 0).T[:, None, :].expand(-1, height, -1)
        return torch.cat((rows, cols)).expand(batch, -1, -1, -1)

    def _encode(self, count: Tensor, dim: int, num_feats: int | None = None) -> Tensor:
        """Codes (..., num_feats) of places (...), counted from 1 along a dimension."""
        if self.normalize:
            last = count.narrow(dim, -1, 1)
            count = (count + self.offset) / (last + self.eps) * self.scale
        return sine_encoding(count, num_feats or self.num_feats, self.temperature)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return (
            f"num_feats={self.num_feats}, temperature={self.temperature}, normalize={self.normalize}, "
            f"scale={self.scale}, eps={self.eps}"
        )


@MODELS.register_module()
class SinePositionalEncoding3D(SinePositionalEncoding):
    """The same for clips: the code of the frame is added (Cheng et al., "Mask2Former for Video Instance
    Segmentation", 2021). Arguments are those of `SinePositionalEncoding`.
    """

    def forward(self, mask: Tensor | None, input: Tensor | None = None) -> Tensor:
        """(B, T, H, W), True where there is padding, to (B, T, 2·num_feats, H, W)."""
        assert mask is not None
        valid = (~mask.bool()).float()
        rows, cols = self._encode(valid.cumsum(2), 2), self._encode(valid.cumsum(3), 3)
        frames = self._encode(valid.cumsum(1), 1, 2 * self.num_feats)
        return (torch.cat((rows, cols), dim=4) + frames).permute(0, 1, 4, 2, 3)


@MODELS.register_module()
class LearnedPositionalEncoding(BaseModule):
    """A learned vector a column and a row; the column is in the first half of the channels.

    State-dict keys: ``row_embed.weight``, ``col_embed.weight``.

    Args:
        num_feats: Channels of each of the two.
        row_num_embed: Most rows of a map.
        col_num_embed: Most columns of a map.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        num_feats: int,
        row_num_embed: int = 50,
        col_num_embed: int = 50,
        init_cfg: Any = {"type": "Uniform", "layer": "Embedding"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        self.row_embed = nn.Embedding(row_num_embed, num_feats)
        self.col_embed = nn.Embedding(col_num_embed, num_feats)
        self.num_feats, self.row_num_embed, self.col_num_embed = num_feats, row_num_embed, col_num_embed

    def forward(self, mask: Tensor) -> Tensor:
        """The size of (B, H, W) is looked at; gives (B, 2·num_feats, H, W)."""
        batch, height, width = mask.shape
        rows = self.row_embed.weight[:height].T[:, :, None].expand(-1, -1, width)
        cols = self.col_embed.weight[:width].T[:, None, :].expand(-1, height, -1)
        return torch.cat((cols, rows)).expand(batch, -1, -1, -1)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return (
            f"num_feats={self.num_feats}, row_num_embed={self.row_num_embed}, "
            f"col_num_embed={self.col_num_embed}"
        )
