"""Dropping of blocks of a map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.registry import MODELS
from toolkit.utils import BuildError

_EPS = 1e-6


@MODELS.register_module()
class DropBlock(nn.Module):
    """Drops square blocks of a map (Ghiasi et al., "DropBlock", 2018).

    Args:
        drop_prob: Share of the elements to drop, above 0.
        block_size: Side of a block, odd.
        warmup_iters: Over so many training iterations the probability rises linearly from 0.

    Raises:
        BuildError: An argument is out of its range.
    """

    def __init__(self, drop_prob: float, block_size: int, warmup_iters: int = 2000) -> None:
        super().__init__()
        if block_size % 2 != 1 or not 0 < drop_prob <= 1 or warmup_iters < 0:
            raise BuildError(
                "DropBlock needs an odd block_size, 0 < drop_prob <= 1 and warmup_iters >= 0; got "
                f"block_size={block_size}, drop_prob={drop_prob}, warmup_iters={warmup_iters}"
            )
        self.drop_prob, self.block_size, self.warmup_iters = drop_prob, block_size, warmup_iters
        self.iter_cnt = 0

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in, the same shape out."""
        if not self.training:
            return x
        self.iter_cnt += 1
        n, channels, height, width = x.shape
        size, margin = self.block_size, self.block_size // 2
        inner = (height - size + 1, width - size + 1)
        chance = torch.full((n, channels, *inner), self._rate(height * width, inner), device=x.device)
        centres = F.pad(torch.bernoulli(chance), [margin] * 4)
        kept = 1 - F.max_pool2d(centres, size, stride=1, padding=margin)
        return x * kept * kept.numel() / (_EPS + kept.sum())

    def _rate(self, area: int, inner: tuple[int, int]) -> float:
        """Probability of a place to be the centre of a block."""
        rate = self.drop_prob * area / (inner[0] * inner[1]) / self.block_size**2
        return rate if self.iter_cnt > self.warmup_iters else rate * self.iter_cnt / self.warmup_iters

    def extra_repr(self) -> str:
        """The arguments, for `repr`."""
        return f"drop_prob={self.drop_prob}, block_size={self.block_size}, warmup_iters={self.warmup_iters}"
