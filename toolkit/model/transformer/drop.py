"""Dropout layers by their names in configs: elementwise, and of whole paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.registry import MODELS


def drop_path(x: Tensor, drop_prob: float = 0.0, training: bool = False) -> Tensor:
    """Set whole samples to 0 and scale the others so that the mean stays (Huang et al., "Deep Networks with
    Stochastic Depth", 2016).

    Args:
        x: (N, ...).
        drop_prob: Probability of a sample to be dropped.
        training: Whether anything is dropped.
    """
    if drop_prob == 0.0 or not training:
        return x
    keep = 1 - drop_prob
    shape = (x.size(0),) + (1,) * (x.dim() - 1)
    return x.div(keep) * (keep + torch.rand(shape, dtype=x.dtype, device=x.device)).floor()


@MODELS.register_module()
class DropPath(nn.Module):
    """Stochastic depth; see `drop_path`.

    Args:
        drop_prob: Probability of a sample to be dropped.
    """

    def __init__(self, drop_prob: float = 0.1) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Any shape (N, ...) in, the same shape out."""
        return drop_path(x, self.drop_prob, self.training)

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return f"drop_prob={self.drop_prob}"


@MODELS.register_module()
class Dropout(nn.Dropout):
    """`torch.nn.Dropout` whose probability has the name that `DropPath` gives it.

    Args:
        drop_prob: Probability of an element to be dropped.
        inplace: Whether it works in place.
    """

    def __init__(self, drop_prob: float = 0.5, inplace: bool = False) -> None:
        super().__init__(p=drop_prob, inplace=inplace)


def build_dropout(cfg: Mapping[str, Any] | None) -> nn.Module:
    """Build a dropout layer from its config; None gives one that does nothing."""
    return MODELS.build(dict(cfg)) if cfg else nn.Identity()
