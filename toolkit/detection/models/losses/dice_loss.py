"""Dice loss of masks."""

from __future__ import annotations

from torch import Tensor, nn

from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError


def dice_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    eps: float = 1e-3,
    reduction: str = "mean",
    naive_dice: bool = False,
    avg_factor: float | Tensor | None = None,
) -> Tensor:
    """One minus the Dice coefficient of each sample.

    Args:
        pred: Probabilities, (N, ...).
        target: What they should be, in the shape of `pred`.
        weight: A weight a sample, (N,).
        eps: Added to what is divided by: once with `naive_dice`, to numerator and denominator, else to both
            terms of the denominator.
        reduction: 'none', 'mean' or 'sum'.
        naive_dice: Sums in the denominator, in place of the sums of squares of V-Net.
        avg_factor: See `weight_reduce_loss`.

    Returns:
        (N,) with 'none', else a scalar.
    """
    pred, target = pred.flatten(1), target.flatten(1).float()
    overlap = 2 * (pred * target).sum(1)
    if naive_dice:
        coefficient = (overlap + eps) / (pred.sum(1) + target.sum(1) + eps)
    else:
        coefficient = overlap / (pred.square().sum(1) + eps + target.square().sum(1) + eps)
    return weight_reduce_loss(1 - coefficient, weight, reduction, avg_factor)


@MODELS.register_module()
class DiceLoss(nn.Module):
    """Dice loss (Milletari et al., "V-Net", 2016).

    Args:
        use_sigmoid: Must be True where `activate` is.
        activate: Predictions are logits, and go through a sigmoid first.
        reduction: 'none', 'mean' or 'sum'.
        naive_dice: See `dice_loss`.
        loss_weight: Factor of the loss.
        eps: See `dice_loss`.

    Raises:
        BuildError: `activate` without `use_sigmoid`: there is no other activation.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        activate: bool = True,
        reduction: str = "mean",
        naive_dice: bool = False,
        loss_weight: float = 1.0,
        eps: float = 1e-3,
    ) -> None:
        super().__init__()
        if activate and not use_sigmoid:
            raise BuildError("DiceLoss knows only the sigmoid; set use_sigmoid=True, or activate=False")
        self.use_sigmoid = use_sigmoid
        self.activate = activate
        self.reduction = reduction
        self.naive_dice = naive_dice
        self.loss_weight = loss_weight
        self.eps = eps

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reduction_override: str | None = None,
        avg_factor: float | Tensor | None = None,
    ) -> Tensor:
        """The loss of `pred` and `target`, both (N, ...); arguments as `dice_loss`."""
        reduction = checked_reduction(reduction_override, self.reduction)
        pred = pred.sigmoid() if self.activate else pred
        return self.loss_weight * dice_loss(
            pred, target, weight, self.eps, reduction, self.naive_dice, avg_factor
        )
