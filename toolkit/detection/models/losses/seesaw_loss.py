"""Seesaw loss, for classes of very different frequency."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.losses.accuracy import accuracy
from toolkit.detection.models.losses.cross_entropy_loss import AvgFactor, cross_entropy
from toolkit.detection.models.losses.own_scores import OwnScores
from toolkit.detection.models.losses.utils import checked_reduction, weight_reduce_loss
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError


def seesaw_ce_loss(
    cls_score: Tensor,
    labels: Tensor,
    label_weights: Tensor | None,
    cum_samples: Tensor,
    num_classes: int,
    p: float,
    q: float,
    eps: float,
    reduction: str = "mean",
    avg_factor: AvgFactor = None,
) -> Tensor:
    """Softmax cross entropy that punishes rare classes less for samples of frequent ones.

    Args:
        cls_score: Logits, (N, C).
        labels: Classes, (N,) int64.
        label_weights: A weight a sample, (N,).
        cum_samples: How many samples of each class there were, (C,).
        num_classes: C.
        p: Strength of the mitigation, by how much rarer a class is; 0 for none.
        q: Strength of the compensation, by how much better a wrong class scores; 0 for none.
        eps: Smallest score that is divided by.
        reduction: 'none', 'mean' or 'sum'.
        avg_factor: See `weight_reduce_loss`.

    Raises:
        BuildError: There aren't `num_classes` logits.
    """
    if cls_score.size(-1) != num_classes:
        raise BuildError(f"seesaw loss of {num_classes} classes got {cls_score.size(-1)} logits")
    shift = torch.zeros_like(cls_score)
    if p > 0:
        counts = cum_samples.clamp(min=1)
        # log of (count of the other / own count) ** p, where the other is rarer
        shift = shift + p * (counts.log()[None, :] - counts[labels].log()[:, None]).clamp(max=0)
    if q > 0:
        scores = cls_score.detach().softmax(dim=1)
        own = scores.gather(1, labels[:, None]).clamp(min=eps)
        shift = shift + q * (scores / own).clamp(min=1).log()
    shift = shift.scatter(1, labels[:, None], 0.0)
    loss = F.cross_entropy(cls_score + shift, labels, reduction="none")
    return weight_reduce_loss(
        loss, None if label_weights is None else label_weights.float(), reduction, avg_factor
    )


@MODELS.register_module()
class SeesawLoss(OwnScores, nn.Module):
    """Seesaw loss (Wang et al., "Seesaw Loss for Long-Tailed Instance Segmentation", 2021).

    Of a head's C + 2 logits the last two tell object from background. State-dict keys: ``cum_samples``.

    Args:
        use_sigmoid: Only False.
        p: See `seesaw_ce_loss`.
        q: See `seesaw_ce_loss`.
        num_classes: C.
        eps: See `seesaw_ce_loss`.
        reduction: 'none', 'mean' or 'sum'.
        loss_weight: Factor of the loss.
        return_dict: Give ``loss_cls_objectness`` and ``loss_cls_classes``, or their sum.

    Raises:
        BuildError: `use_sigmoid` is set.
    """

    further_logits = 2
    cum_samples: Tensor

    def __init__(
        self,
        use_sigmoid: bool = False,
        p: float = 0.8,
        q: float = 2.0,
        num_classes: int = 1203,
        eps: float = 1e-2,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        return_dict: bool = True,
    ) -> None:
        super().__init__()
        if use_sigmoid:
            raise BuildError("SeesawLoss has a softmax only: use_sigmoid must be False")
        self.use_sigmoid = False
        self.p, self.q, self.eps = p, q, eps
        self.num_classes = num_classes
        self.reduction, self.loss_weight, self.return_dict = reduction, loss_weight, return_dict
        self.register_buffer("cum_samples", torch.zeros(num_classes + 1))

    def _split(self, cls_score: Tensor) -> tuple[Tensor, Tensor]:
        if cls_score.size(-1) != self.num_classes + 2:
            raise BuildError(
                f"SeesawLoss has num_classes={self.num_classes}, so that a head gives {self.num_classes + 2} "
                f"logits; it gave {cls_score.size(-1)}"
            )
        return cls_score[..., :-2], cls_score[..., -2:]

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Scores (N, C + 1), background last, of logits (N, C + 2)."""
        classes, objectness = self._split(cls_score)
        is_object, is_background = objectness.softmax(dim=-1).split(1, dim=-1)
        return torch.cat((classes.softmax(dim=-1) * is_object, is_background), dim=-1)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``acc_objectness`` and, of the objects, ``acc_classes``, in percent."""
        classes, objectness = self._split(cls_score)
        found = labels < self.num_classes
        acc_objectness = accuracy(objectness, (~found).long())
        acc_classes = accuracy(classes[found], labels[found])
        return {"acc_objectness": acc_objectness, "acc_classes": acc_classes}  # type: ignore[dict-item]

    def forward(
        self,
        cls_score: Tensor,
        labels: Tensor,
        label_weights: Tensor | None = None,
        avg_factor: AvgFactor = None,
        reduction_override: str | None = None,
    ) -> Tensor | dict[str, Tensor]:
        """The loss, after the samples have been counted.

        Args:
            cls_score: Logits, (N, C + 2).
            labels: Classes, (N,) int64; C is background.
            label_weights: A weight a sample, (N,).
            avg_factor: See `weight_reduce_loss`.
            reduction_override: In place of the loss's own reduction.
        """
        reduction = checked_reduction(reduction_override, self.reduction)
        self.cum_samples += torch.bincount(labels, minlength=self.num_classes + 1)
        weights = torch.ones_like(labels, dtype=torch.float) if label_weights is None else label_weights
        classes, objectness = self._split(cls_score)
        found = (labels < self.num_classes).nonzero().squeeze(1)
        if len(found):
            loss_classes = self.loss_weight * seesaw_ce_loss(
                classes[found],
                labels[found],
                weights[found],
                self.cum_samples[: self.num_classes],
                self.num_classes,
                self.p,
                self.q,
                self.eps,
                reduction,
                avg_factor,
            )
        else:
            loss_classes = classes[found].sum()
        loss_objectness = self.loss_weight * cross_entropy(
            objectness, (labels == self.num_classes).long(), weights, reduction, avg_factor
        )
        if self.return_dict:
            return {"loss_cls_objectness": loss_objectness, "loss_cls_classes": loss_classes}
        return loss_classes + loss_objectness
