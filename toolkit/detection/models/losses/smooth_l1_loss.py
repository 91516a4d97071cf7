"""L1 and smooth L1 losses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.utils import checked_reduction, weighted_loss
from toolkit.detection.registry import MODELS


@weighted_loss
def smooth_l1_loss(pred: Tensor, target: Tensor, beta: float = 1.0) -> Tensor:
    """``0.5 d² / beta`` where ``d = |pred - target| < beta``, else ``d - 0.5 beta``; elementwise."""
    return F.smooth_l1_loss(pred, target, reduction="none", beta=beta)


@weighted_loss
def l1_loss(pred: Tensor, target: Tensor) -> Tensor:
    """``|pred - target|``, elementwise."""
    return torch.abs(pred - target)


@MODELS.register_module()
class SmoothL1Loss(nn.Module):
    """Smooth L1 loss (Girshick, "Fast R-CNN", 2015).

    Args:
        beta: Where the square turns into a line.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
    """

    def __init__(self, beta: float = 1.0, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss of `pred` and `target`, both (N, ...).

        Args:
            pred: Predictions.
            target: What they should be.
            weight: A weight an element, broadcast.
            avg_factor: See `weight_reduce_loss`.
            reduction_override: In place of the loss's own reduction.
            **kwargs: Not used.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        return self.loss_weight * smooth_l1_loss(
            pred, target, weight, beta=self.beta, reduction=reduction, avg_factor=avg_factor
        )


@MODELS.register_module()
class L1Loss(nn.Module):
    """L1 loss.

    Args:
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction = reduction
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | Tensor | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss of `pred` and `target`, both (N, ...); arguments as `SmoothL1Loss.forward`."""
        reduction = checked_reduction(reduction_override, self.reduction)
        return self.loss_weight * l1_loss(pred, target, weight, reduction=reduction, avg_factor=avg_factor)
