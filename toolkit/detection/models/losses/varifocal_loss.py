"""Varifocal loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.focal_loss import AvgFactor, needs_sigmoid
from toolkit.detection.models.losses.gfocal_loss import QualityTarget
from toolkit.detection.models.losses.sparse_focal import background_focal
from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError


def varifocal_loss(
    pred: Tensor,
    target: QualityTarget,
    weight: Tensor | None = None,
    alpha: float = 0.75,
    gamma: float = 2.0,
    iou_weighted: bool = True,
    reduction: str = "mean",
    avg_factor: AvgFactor = None,
) -> Tensor:
    """Cross entropy with qualities, in which only background is focal (Zhang et al., "VarifocalNet", 2020).

    Args:
        pred: Logits, (N, C).
        target: Qualities in the shape of `pred`, 0 for background; or classes (N,) int64, where others than
            0 to C - 1 are background, and the qualities (N,) of objects, which are more than 0.
        weight: With a table of targets: a weight an element, broadcast. Else a weight a row, (N,).
        alpha: Weight of background.
        gamma: How much less easy background counts.
        iou_weighted: Objects count as much as their quality is.
        reduction: 'none', 'mean' (over elements) or 'sum'.
        avg_factor: See `weight_reduce_loss`.

    Returns:
        With 'none' the shape of `pred`, or for classes (N,); else a scalar.
    """
    if isinstance(target, Tensor):
        goal = target.type_as(pred)
        background = alpha * (pred.sigmoid() - goal).abs().pow(gamma)
        each = torch.where(goal > 0, goal if iou_weighted else 1.0, background)
        loss = F.binary_cross_entropy_with_logits(pred, goal, reduction="none") * each
        return weight_reduce_loss(loss, weight, reduction, avg_factor)
    label, score = target
    background, own = background_focal(pred, label, gamma)
    score = score.to(own)
    own_loss = F.binary_cross_entropy_with_logits(own, score, reduction="none")
    is_object = (label >= 0) & (label < pred.size(1))
    loss = alpha * background + torch.where(is_object, own_loss * (score if iou_weighted else 1.0), 0)
    if reduction == "mean" and avg_factor is None:
        return weight_reduce_loss(loss, weight, "sum") / max(pred.numel(), 1)
    return weight_reduce_loss(loss, weight, reduction, avg_factor)


@MODELS.register_module()
class VarifocalLoss(nn.Module):
    """Loss of scores that are qualities; see `varifocal_loss`.

    Args:
        use_sigmoid: Only True: each class is on its own.
        alpha: Weight of background.
        gamma: How much less easy background counts.
        iou_weighted: Objects count as much as their quality is.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.

    Raises:
        BuildError: `use_sigmoid` is False, or `alpha` negative.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        alpha: float = 0.75,
        gamma: float = 2.0,
        iou_weighted: bool = True,
        reduction: str = "mean",
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        needs_sigmoid(self, use_sigmoid)
        if alpha < 0:
            raise BuildError(f"alpha of VarifocalLoss must not be negative, got {alpha}")
        self.use_sigmoid = use_sigmoid
        self.alpha, self.gamma, self.iou_weighted = alpha, gamma, iou_weighted
        self.reduction, self.loss_weight = reduction, loss_weight

    def forward(
        self,
        pred: Tensor,
        target: QualityTarget,
        weight: Tensor | None = None,
        avg_factor: AvgFactor = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss; arguments as `varifocal_loss`, and a reduction in place of the loss's own."""
        reduction = checked_reduction(reduction_override, self.reduction)
        return self.loss_weight * varifocal_loss(
            pred, target, weight, self.alpha, self.gamma, self.iou_weighted, reduction, avg_factor
        )
