"""Focal loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.sparse_focal import background_focal
from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

AvgFactor = float | Tensor | None


def one_hot_targets(label: Tensor, num_classes: int, like: Tensor) -> Tensor:
    """Labels (N,) as a table (N, num_classes) of 0 and 1; labels outside of the classes have no 1."""
    classes = torch.arange(num_classes, device=label.device)
    return (label.unsqueeze(-1) == classes).to(like.dtype)


def fitted_weight(weight: Tensor | None, loss: Tensor) -> Tensor | None:
    """Weights of rows, or of elements in any shape, made to broadcast to a loss (N, C)."""
    if weight is None or weight.shape == loss.shape:
        return weight
    return weight.view(-1, 1) if weight.size(0) == loss.size(0) else weight.view(loss.size(0), -1)


def sigmoid_focal_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    gamma: float = 2.0,
    alpha: float = 0.25,
    reduction: str = "mean",
    avg_factor: AvgFactor = None,
    activated: bool = False,
) -> Tensor:
    """``-alpha_t (1 - p_t)^gamma log p_t`` of each class on its own (Lin et al., "Focal Loss for Dense Object
    Detection", 2017).

    Args:
        pred: Logits, (N, C).
        target: Classes, (N,) int64, where others than 0 to C - 1 are background; or targets from 0 to 1 in
            the shape of `pred`.
        weight: A weight a row (N,), or an element.
        gamma: How much less easy examples count.
        alpha: Weight of objects; background has ``1 - alpha``.
        reduction: 'none', 'mean' or 'sum'.
        avg_factor: See `weight_reduce_loss`.
        activated: `pred` holds probabilities.

    Returns:
        The shape of `pred` with 'none', else a scalar.
    """
    labels = pred.dim() != target.dim()
    rowwise = weight is None or (weight.dim() == 1 and weight.size(0) == pred.size(0))
    if labels and rowwise and not activated and reduction != "none" and pred.dim() == 2:
        background, own = background_focal(pred, target, gamma)
        cost, prob = F.softplus(-own), torch.sigmoid(own)
        is_object = (target >= 0) & (target < pred.size(1))
        loss = background * (1 - alpha) + is_object * (alpha * (1 - prob) ** gamma * cost)
        if reduction == "mean" and avg_factor is None:
            return weight_reduce_loss(loss, weight, "sum") / max(pred.numel(), 1)
        return weight_reduce_loss(loss, weight, reduction, avg_factor)
    if labels:
        target = one_hot_targets(target, pred.size(-1), pred)
    target = target.type_as(pred)
    prob = pred if activated else pred.sigmoid()
    missed = (1 - prob) * target + prob * (1 - target)
    modulation = (alpha * target + (1 - alpha) * (1 - target)) * missed.pow(gamma)
    entropy = F.binary_cross_entropy if activated else F.binary_cross_entropy_with_logits
    loss = entropy(pred, target, reduction="none") * modulation
    return weight_reduce_loss(loss, fitted_weight(weight, loss), reduction, avg_factor)


@MODELS.register_module()
class FocalLoss(nn.Module):
    """Focal loss of classification; see `sigmoid_focal_loss`.

    Args:
        use_sigmoid: Only True: each class is on its own.
        gamma: How much less easy examples count.
        alpha: Weight of objects; background has ``1 - alpha``.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
        activated: Predictions come as probabilities, not as logits.

    Raises:
        BuildError: `use_sigmoid` is False.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float = 0.25,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__()
        needs_sigmoid(self, use_sigmoid)
        self.use_sigmoid = use_sigmoid
        self.gamma, self.alpha = gamma, alpha
        self.reduction, self.loss_weight = reduction, loss_weight
        self.activated = activated

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: AvgFactor = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """The loss; see `sigmoid_focal_loss`.

        Args:
            pred: Logits or probabilities, (N, C).
            target: Classes (N,), or targets in the shape of `pred`.
            weight: A weight a row, or an element.
            avg_factor: See `weight_reduce_loss`.
            reduction_override: In place of the loss's own reduction.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        return self.loss_weight * sigmoid_focal_loss(
            pred, target, weight, self.gamma, self.alpha, reduction, avg_factor, self.activated
        )


def needs_sigmoid(loss: nn.Module, use_sigmoid: bool) -> None:
    """Refuse a loss that is asked for a softmax.

    Raises:
        BuildError: `use_sigmoid` is False.
    """
    if not use_sigmoid:
        raise BuildError(f"{type(loss).__name__} is of sigmoids only: set use_sigmoid=True")
