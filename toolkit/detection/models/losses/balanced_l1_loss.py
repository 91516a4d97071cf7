"""Balanced L1 loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.losses.utils import checked_reduction, weighted_loss
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError


@weighted_loss
def balanced_l1_loss(
    pred: Tensor, target: Tensor, beta: float = 1.0, alpha: float = 0.5, gamma: float = 1.5
) -> Tensor:
    """L1 whose gradient is larger than that of smooth L1 where the error is small; elementwise.

    From "Libra R-CNN: Towards Balanced Learning for Object Detection" (Pang et al., 2019), equation 5.

    Args:
        pred: Predictions.
        target: What they should be.
        beta: Where the curve turns into a line.
        alpha: How much small errors count.
        gamma: The gradient of the line.

    Raises:
        BuildError: `beta` is not positive.
    """
    if beta <= 0:
        raise BuildError(f"beta of balanced_l1_loss must be positive, got {beta}")
    diff = torch.abs(pred - target)
    b = math.exp(gamma / alpha) - 1
    curve = alpha / b * (b * diff + 1) * torch.log(b * diff / beta + 1) - alpha * diff
    return torch.where(diff < beta, curve, gamma * diff + gamma / b - alpha * beta)


@MODELS.register_module()
class BalancedL1Loss(nn.Module):
    """See `balanced_l1_loss`.

    Args:
        alpha: How much small errors count.
        gamma: The gradient of the line.
        beta: Where the curve turns into a line.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        gamma: float = 1.5,
        beta: float = 1.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.alpha, self.gamma, self.beta = alpha, gamma, beta
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
        """The loss of `pred` and `target`, both (N, ...); arguments as `SmoothL1Loss.forward`."""
        return self.loss_weight * balanced_l1_loss(
            pred,
            target,
            weight,
            alpha=self.alpha,
            gamma=self.gamma,
            beta=self.beta,
            reduction=checked_reduction(reduction_override, self.reduction),
            avg_factor=avg_factor,
        )
