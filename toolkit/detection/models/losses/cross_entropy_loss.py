"""Cross entropy: softmax, sigmoid (binary) and of masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

AvgFactor = float | Tensor | None
_IGNORE = -100


def cross_entropy(
    pred: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: AvgFactor = None,
    class_weight: Tensor | None = None,
    ignore_index: int | None = _IGNORE,
    avg_non_ignore: bool = False,
) -> Tensor:
    """Softmax cross entropy.

    Args:
        pred: Logits, (N, C, ...).
        label: Classes, (N, ...) int64.
        weight: A weight a sample, (N, ...).
        reduction: 'none', 'mean' or 'sum'.
        avg_factor: See `weight_reduce_loss`.
        class_weight: A weight a class, (C,).
        ignore_index: Samples of this label give no loss.
        avg_non_ignore: With 'mean' and no `avg_factor`, average over the samples that aren't ignored.

    Returns:
        (N, ...) with 'none', else a scalar.
    """
    ignore = _IGNORE if ignore_index is None else ignore_index
    loss = F.cross_entropy(pred, label, weight=class_weight, reduction="none", ignore_index=ignore)
    if avg_factor is None and avg_non_ignore and reduction == "mean":
        avg_factor = (label != ignore).sum()
    return weight_reduce_loss(loss, None if weight is None else weight.float(), reduction, avg_factor)


def binary_cross_entropy(
    pred: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: AvgFactor = None,
    class_weight: Tensor | None = None,
    ignore_index: int | None = _IGNORE,
    avg_non_ignore: bool = False,
) -> Tensor:
    """Sigmoid cross entropy, each class on its own.

    Args:
        pred: Logits, (N, C); or of any shape where `label` has the same number of dimensions.
        label: Classes, (N,) int64, where a label of C or more is background, of no class; or targets from 0
            to 1 in the shape of `pred`.
        weight: A weight a sample (N,), or of the shape of `pred`.
        reduction: 'none', 'mean' or 'sum'.
        avg_factor: See `weight_reduce_loss`.
        class_weight: Weights of the positive terms, (C,).
        ignore_index: Samples of this label, and of negative ones, give no loss.
        avg_non_ignore: With 'mean' and no `avg_factor`, average over the elements that aren't ignored.

    Returns:
        The shape of `pred` with 'none', else a scalar.
    """
    ignore = _IGNORE if ignore_index is None else ignore_index
    valid = ((label >= 0) & (label != ignore)).float()
    if pred.dim() != label.dim():
        valid = valid.unsqueeze(-1)
        weight = None if weight is None else weight.unsqueeze(-1)
        classes = torch.arange(pred.size(-1), device=pred.device)
        label = (label.unsqueeze(-1) == classes) & (valid > 0)
        valid = valid.expand_as(pred)
    if avg_factor is None and avg_non_ignore and reduction == "mean":
        avg_factor = valid.sum()
    loss = F.binary_cross_entropy_with_logits(
        pred, label.to(pred.dtype), pos_weight=class_weight, reduction="none"
    )
    return weight_reduce_loss(loss, valid if weight is None else valid * weight, reduction, avg_factor)


def mask_cross_entropy(
    pred: Tensor,
    target: Tensor,
    label: Tensor,
    reduction: str = "mean",
    avg_factor: AvgFactor = None,
    class_weight: Tensor | None = None,
    ignore_index: int | None = None,
    **kwargs: Any,
) -> Tensor:
    """Binary cross entropy of the mask of each sample's own class (He et al., "Mask R-CNN", 2017).

    Args:
        pred: Logits, (N, C, H, W).
        target: Masks, (N, H, W), 0 or 1.
        label: Classes, (N,).
        reduction: Only 'mean'.
        avg_factor: Only None.
        class_weight: A weight an element, broadcast to `target`.
        ignore_index: Only None.
        **kwargs: Not used.

    Returns:
        (1,).

    Raises:
        BuildError: One of the arguments with a single valid value has another.
    """
    if ignore_index is not None or reduction != "mean" or avg_factor is not None:
        raise BuildError(
            "mask_cross_entropy averages over all elements: it takes no ignore_index and no avg_factor"
        )
    chosen = pred[torch.arange(pred.size(0), device=pred.device), label]
    return F.binary_cross_entropy_with_logits(chosen, target, weight=class_weight).reshape(1)


@MODELS.register_module()
class CrossEntropyLoss(nn.Module):
    """Cross entropy of classification logits.

    Args:
        use_sigmoid: Each class on its own, in place of a softmax over all.
        use_mask: The cross entropy of masks; see `mask_cross_entropy`.
        reduction: 'none', 'mean' or 'sum'.
        class_weight: A weight a class.
        ignore_index: Samples of this label give no loss.
        loss_weight: Factor of the loss.
        avg_non_ignore: With 'mean', average over the samples that aren't ignored.

    Raises:
        BuildError: Both of `use_sigmoid` and `use_mask` are set.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        reduction: str = "mean",
        class_weight: Sequence[float] | None = None,
        ignore_index: int | None = None,
        loss_weight: float = 1.0,
        avg_non_ignore: bool = False,
    ) -> None:
        super().__init__()
        if use_sigmoid and use_mask:
            raise BuildError("CrossEntropyLoss: set use_sigmoid or use_mask, not both")
        self.use_sigmoid = use_sigmoid
        self.use_mask = use_mask
        self.reduction = reduction
        self.class_weight = class_weight
        self.ignore_index = ignore_index
        self.loss_weight = loss_weight
        self.avg_non_ignore = avg_non_ignore
        self.cls_criterion: Callable[..., Tensor]
        if use_sigmoid:
            self.cls_criterion = binary_cross_entropy
        else:
            self.cls_criterion = mask_cross_entropy if use_mask else cross_entropy

    def extra_repr(self) -> str:
        """What `print` shows of it."""
        return f"avg_non_ignore={self.avg_non_ignore}"

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: AvgFactor = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The loss.

        Args:
            cls_score: Logits, (N, C); with `use_mask` (N, C, H, W).
            label: Classes, (N,); with `use_mask` the masks, with their classes as `weight`, by place.
            weight: A weight a sample.
            avg_factor: See `weight_reduce_loss`.
            reduction_override: In place of the loss's own reduction.
            ignore_index: In place of the loss's own.
            **kwargs: Passed on to the function behind.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        class_weight = None if self.class_weight is None else cls_score.new_tensor(self.class_weight)
        if not self.use_mask:
            kwargs["avg_non_ignore"] = self.avg_non_ignore
        return self.loss_weight * self.cls_criterion(
            cls_score,
            label,
            weight,
            class_weight=class_weight,
            reduction=reduction,
            avg_factor=avg_factor,
            ignore_index=self.ignore_index if ignore_index is None else ignore_index,
            **kwargs,
        )
