"""Losses on class scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.classification.registry import MODELS
from toolkit.utils.errors import BuildError

_REDUCTIONS = ("none", "mean", "sum")


def reduce_loss(loss: Tensor, weight: Tensor | None, reduction: str, avg_factor: float | None) -> Tensor:
    """Weigh a loss per sample (N,) or per entry (N, C), and sum it up.

    Args:
        loss: Any shape that begins with the batch.
        weight: (N,), or None.
        reduction: 'none', 'mean' or 'sum'.
        avg_factor: What 'mean' divides by, instead of the number of entries.
    """
    if weight is not None:
        loss = loss * weight.float().reshape(-1, *[1] * (loss.dim() - 1))
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    return loss.mean() if avg_factor is None else loss.sum() / avg_factor


def _checked(reduction: str, name: str) -> str:
    if reduction not in _REDUCTIONS:
        raise BuildError(f"reduction of {name} must be one of {', '.join(_REDUCTIONS)}, got {reduction!r}")
    return reduction


class _Weights(nn.Module):
    """Weights of classes and of positive entries, kept in lists as they are no part of the state."""

    def __init__(
        self,
        reduction: str,
        loss_weight: float,
        class_weight: Sequence[float] | None,
        pos_weight: Sequence[float] | float | None,
    ) -> None:
        super().__init__()
        self.reduction = _checked(reduction, type(self).__name__)
        self.loss_weight = loss_weight
        self.class_weight = class_weight
        self.pos_weight = pos_weight

    def _reduction(self, override: str | None) -> str:
        return self.reduction if override is None else _checked(override, type(self).__name__)


@MODELS.register_module()
class CrossEntropyLoss(_Weights):
    """Cross entropy with labels, with soft labels, or of independent classes.

    Args:
        use_sigmoid: Classes are independent, each with a sigmoid (binary cross entropy).
        use_soft: Targets are distributions over the classes.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
        class_weight: A factor for each class.
        pos_weight: A factor for positive entries, one or one a class; with `use_sigmoid`.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_soft: bool = False,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        pos_weight: Sequence[float] | float | None = None,
    ) -> None:
        super().__init__(reduction, loss_weight, class_weight, pos_weight)
        if use_sigmoid and use_soft:
            raise BuildError("use_sigmoid and use_soft of CrossEntropyLoss exclude each other")
        if pos_weight is not None and not use_sigmoid:
            raise BuildError("pos_weight of CrossEntropyLoss needs use_sigmoid=True")
        self.use_sigmoid = use_sigmoid
        self.use_soft = use_soft

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss.

        Args:
            cls_score: (N, C) logits.
            label: (N,) labels; (N, C) scores where they are soft or independent (or (N,) labels for the
                latter).
            weight: (N,) weights of the samples.
            avg_factor: What the mean divides by, instead of N.
            reduction_override: Another reduction for this call.
            **kwargs: Not used.
        """
        classes = None if self.class_weight is None else cls_score.new_tensor(list(self.class_weight))
        if self.use_sigmoid:
            loss = self._binary(cls_score, label, classes)
        elif self.use_soft or label.dim() > 1:
            terms = -label * F.log_softmax(cls_score, dim=-1)
            loss = (terms if classes is None else terms * classes).sum(dim=-1)
        else:
            loss = F.cross_entropy(cls_score, label, weight=classes, reduction="none")
        return self.loss_weight * reduce_loss(loss, weight, self._reduction(reduction_override), avg_factor)

    def _binary(self, cls_score: Tensor, label: Tensor, classes: Tensor | None) -> Tensor:
        if label.dim() == 1:
            label = F.one_hot(label, cls_score.shape[-1])
        positive = None if self.pos_weight is None else torch.as_tensor(self.pos_weight).to(cls_score)
        loss = F.binary_cross_entropy_with_logits(
            cls_score, label.to(cls_score.dtype), pos_weight=positive, reduction="none"
        )
        return loss if classes is None else loss * classes


@MODELS.register_module()
class LabelSmoothLoss(_Weights):
    """Cross entropy with smoothed labels (Szegedy et al., "Rethinking the Inception Architecture", CVPR
    2016).

    Args:
        label_smooth_val: The share eps that is taken from the true class.
        num_classes: Number of classes; by default that of the scores.
        mode: 'original' spreads eps evenly over all classes; 'classy_vision' does so with eps / (1 + eps);
            'multi_label' has 1 - eps for the positive classes and eps for the others, with sigmoids.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
        class_weight: A factor for each class.
        pos_weight: A factor for positive entries; with 'multi_label'.
    """

    def __init__(
        self,
        label_smooth_val: float,
        num_classes: int | None = None,
        mode: str = "original",
        reduction: str = "mean",
        loss_weight: float = 1.0,
        class_weight: Sequence[float] | None = None,
        pos_weight: Sequence[float] | float | None = None,
    ) -> None:
        super().__init__(reduction, loss_weight, class_weight, pos_weight)
        if not 0 <= label_smooth_val < 1:
            raise BuildError(f"label_smooth_val must lie within [0, 1), got {label_smooth_val!r}")
        if mode not in ("original", "classy_vision", "multi_label"):
            raise BuildError(
                f"mode of LabelSmoothLoss must be original, classy_vision or multi_label, got {mode!r}"
            )
        self.num_classes = num_classes
        self.mode = mode
        self.label_smooth_val = label_smooth_val
        self._eps = label_smooth_val / (1 + label_smooth_val) if mode == "classy_vision" else label_smooth_val
        independent = mode == "multi_label"
        self.ce = CrossEntropyLoss(
            use_sigmoid=independent,
            use_soft=not independent,
            class_weight=class_weight,
            pos_weight=pos_weight,
        )

    def smoothed(self, label: Tensor, num_classes: int) -> Tensor:
        """Labels (N,) or scores (N, C) as smoothed scores (N, C)."""
        scores = F.one_hot(label, num_classes).float() if label.dim() == 1 else label.float()
        if self.mode == "multi_label":
            return torch.where(scores > 0, 1 - self._eps, self._eps)
        return scores * (1 - self._eps) + self._eps / num_classes

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss; arguments as in `CrossEntropyLoss.forward`."""
        if self.num_classes is not None and cls_score.shape[-1] != self.num_classes:
            raise ValueError(
                f"LabelSmoothLoss is set up for num_classes={self.num_classes}, but the scores are of "
                f"{cls_score.shape[-1]}"
            )
        loss = self.ce(
            cls_score,
            self.smoothed(label, cls_score.shape[-1]),
            weight=weight,
            avg_factor=avg_factor,
            reduction_override=self._reduction(reduction_override),
        )
        return self.loss_weight * loss
