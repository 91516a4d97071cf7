"""How elementwise losses are weighted and reduced."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from toolkit.utils import BuildError

REDUCTIONS = ("none", "mean", "sum")
_EPS = torch.finfo(torch.float32).eps


def checked_reduction(override: str | None, default: str) -> str:
    """The reduction in force.

    Raises:
        BuildError: It is not one of 'none', 'mean' and 'sum'.
    """
    reduction = override or default
    if reduction not in REDUCTIONS:
        raise BuildError(f"reduction of a loss must be one of {REDUCTIONS}, got {reduction!r}")
    return reduction


def weight_reduce_loss(
    loss: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: float | Tensor | None = None,
) -> Tensor:
    """Weight a loss elementwise and reduce it.

    Args:
        loss: Any shape.
        weight: Broadcast to `loss`; None for 1.
        reduction: 'none', 'mean' or 'sum'.
        avg_factor: With 'mean': what the sum is divided by, in place of the number of elements. A tensor
            keeps the division on its device.

    Returns:
        The shape of `loss` with 'none', else a scalar.

    Raises:
        BuildError: `avg_factor` is given with 'sum', where it means nothing.
    """
    if weight is not None:
        loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        if avg_factor is not None:
            raise BuildError("avg_factor can't be used with reduction='sum'")
        return loss.sum()
    return loss.mean() if avg_factor is None else loss.sum() / (avg_factor + _EPS)


def weighted_loss(loss_func: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give an elementwise loss ``(pred, target, **kwargs)`` the arguments weight, reduction and avg_factor.

    Examples:
        >>> import torch
        >>> @weighted_loss
        ... def l1(pred, target):
        ...     return (pred - target).abs()
        >>> l1(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]), weight=torch.tensor([1.0, 0.0]))
        tensor(0.5000)
    """

    @functools.wraps(loss_func)
    def wrapper(
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction: str = "mean",
        avg_factor: float | Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        return weight_reduce_loss(loss_func(pred, target, **kwargs), weight, reduction, avg_factor)

    return wrapper
