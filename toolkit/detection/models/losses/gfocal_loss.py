"""Generalized focal loss: of scores that are qualities, and of distributions of box sides."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.focal_loss import AvgFactor, needs_sigmoid
from toolkit.detection.models.losses.sparse_focal import background_focal
from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss, weighted_loss
from toolkit.detection.registry import MODELS

QualityTarget = tuple[Tensor, Tensor] | Tensor


def quality_focal_loss(
    pred: Tensor,
    target: QualityTarget,
    weight: Tensor | None = None,
    beta: float = 2.0,
    reduction: str = "mean",
    avg_factor: AvgFactor = None,
    activated: bool = False,
) -> Tensor:
    """``|y - p|^beta`` times the cross entropy with a quality y (Li et al., "Generalized Focal Loss", 2020).

    Args:
        pred: Logits, (N, C).
        target: Classes (N,) int64, where others than 0 to C - 1 are background, and the qualities (N,) of
            objects; or qualities in the shape of `pred`.
        weight: A weight a row, (N,).
        beta: The exponent.
        reduction: 'none', 'mean' (over rows) or 'sum'.
        avg_factor: See `weight_reduce_loss`.
        activated: `pred` holds probabilities.

    Returns:
        (N,) with 'none', else a scalar.
    """
    if isinstance(target, Tensor) or activated:
        loss = _of_table(pred, target, beta, activated)
    else:
        label, score = target
        background, own = background_focal(pred, label, beta)
        gap = (score - own.sigmoid()).abs()
        own_loss = F.binary_cross_entropy_with_logits(own, score.to(own), reduction="none") * gap.pow(beta)
        loss = background + torch.where((label >= 0) & (label < pred.size(1)), own_loss, 0)
    return weight_reduce_loss(loss, weight, reduction, avg_factor)


def _of_table(pred: Tensor, target: QualityTarget, beta: float, activated: bool) -> Tensor:
    """The loss of rows (N,), with the targets as a table."""
    if isinstance(target, Tensor):
        table, objects = target.type_as(pred), target != 0
    else:
        label, score = target
        objects = label.unsqueeze(1) == torch.arange(pred.size(1), device=pred.device)
        table = objects * score.unsqueeze(1).to(pred)
    prob = pred if activated else pred.sigmoid()
    entropy = F.binary_cross_entropy if activated else F.binary_cross_entropy_with_logits
    gap = torch.where(objects, (table - prob).abs(), prob)
    return (entropy(pred, table, reduction="none") * gap.pow(beta)).sum(1)


@weighted_loss
def distribution_focal_loss(pred: Tensor, label: Tensor) -> Tensor:
    """Cross entropies with the two whole numbers around a distance, by its nearness (Li et al. 2020).

    Args:
        pred: Logits of the distances 0 to n, (N, n + 1).
        label: Distances (N,) float, from 0 to less than n.

    Returns:
        (N,) with reduction 'none'.
    """
    low = label.long()
    share = label - low
    log_prob = pred.log_softmax(1)
    costs = log_prob.gather(1, torch.stack((low, low + 1), dim=1))
    return -(costs[:, 0] * (1 - share) + costs[:, 1] * share)


@MODELS.register_module()
class QualityFocalLoss(nn.Module):
    """Focal loss with qualities as targets; see `quality_focal_loss`.

    Args:
        use_sigmoid: Only True: each class is on its own.
        beta: The exponent.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
        activated: Predictions come as probabilities, not as logits.

    Raises:
        BuildError: `use_sigmoid` is False.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        beta: float = 2.0,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__()
        needs_sigmoid(self, use_sigmoid)
        self.use_sigmoid, self.beta = use_sigmoid, beta
        self.reduction, self.loss_weight = reduction, loss_weight
        self.activated = activated

    def forward(
        self,
        pred: Tensor,
        target: QualityTarget,
        weight: Tensor | None = None,
        avg_factor: AvgFactor = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss; arguments as `quality_focal_loss`, and a reduction in place of the loss's own."""
        reduction = checked_reduction(reduction_override, self.reduction)
        return self.loss_weight * quality_focal_loss(
            pred, target, weight, self.beta, reduction, avg_factor, self.activated
        )


@MODELS.register_module()
class DistributionFocalLoss(nn.Module):
    """Cross entropy of distributions of distances; see `distribution_focal_loss`.

    Args:
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
    """

    def __init__(self, reduction: str = "mean", loss_weight: float = 1.0) -> None:
        super().__init__()
        self.reduction, self.loss_weight = reduction, loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: AvgFactor = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss of logits (N, n + 1) and distances (N,).

        Args:
            pred: Logits.
            target: Distances.
            weight: A weight a row, (N,).
            avg_factor: See `weight_reduce_loss`.
            reduction_override: In place of the loss's own reduction.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        return self.loss_weight * distribution_focal_loss(
            pred, target, weight, reduction=reduction, avg_factor=avg_factor
        )
