"""Learnable factors."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """Multiplies its input by one learnable number.

    Args:
        scale: What the number starts at.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale, dtype=torch.float))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        return x * self.scale
