"""Mean squared error."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.utils import checked_reduction, weighted_loss
from toolkit.detection.registry import MODELS


@weighted_loss
def mse_loss(pred: Tensor, target: Tensor) -> Tensor:
    """``(pred - target)²``, elementwise."""
    return F.mse_loss(pred, target, reduction="none")


@MODELS.register_module()
class MSELoss(nn.Module):
    """Mean squared error.

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
        **kwargs: Any,
    ) -> Tensor:
        """The loss of `pred` and `target`, both (N, ...); arguments as `SmoothL1Loss.forward`."""
        reduction = checked_reduction(reduction_override, self.reduction)
        return self.loss_weight * mse_loss(pred, target, weight, reduction=reduction, avg_factor=avg_factor)
