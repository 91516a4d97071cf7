"""Losses that turn logits into scores themselves, and measure the accuracy of objects alone.

They are V3Det's, of 13,204 classes (Wang et al., "V3Det: Vast Vocabulary Visual Detection Dataset", 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from toolkit.detection.models.losses.accuracy import accuracy
from toolkit.detection.models.losses.cross_entropy_loss import CrossEntropyLoss
from toolkit.detection.models.losses.focal_loss import FocalLoss
from toolkit.detection.models.losses.own_scores import OwnScores
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError


class _OfObjects(OwnScores):
    """What V3Det's losses share."""

    use_sigmoid: bool

    def _set_num_classes(self, num_classes: int) -> None:
        if num_classes < 1:
            raise BuildError(f"{type(self).__name__} needs num_classes, that of its head; got {num_classes}")
        self.num_classes = num_classes

    @property
    def further_logits(self) -> int:
        """One for background with a softmax."""
        return 0 if self.use_sigmoid else 1

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """``acc_classes`` of the objects, in percent, of logits (N, C or C + 1) and classes (N,)."""
        found = (labels >= 0) & (labels < self.num_classes)
        measured = accuracy(cls_score[found, : self.num_classes], labels[found])
        return {"acc_classes": measured}  # type: ignore[dict-item]


@MODELS.register_module()
class CrossEntropyCustomLoss(_OfObjects, CrossEntropyLoss):
    """`CrossEntropyLoss` whose sigmoids leave to background what they lack of 1.

    Args:
        use_sigmoid: See `CrossEntropyLoss`.
        use_mask: See `CrossEntropyLoss`.
        reduction: See `CrossEntropyLoss`.
        num_classes: C; the head's.
        class_weight: See `CrossEntropyLoss`.
        ignore_index: See `CrossEntropyLoss`.
        loss_weight: See `CrossEntropyLoss`.
        avg_non_ignore: See `CrossEntropyLoss`.

    Raises:
        BuildError: `num_classes` is not given, or both of `use_sigmoid` and `use_mask` are set.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        use_mask: bool = False,
        reduction: str = "mean",
        num_classes: int = -1,
        class_weight: Sequence[float] | None = None,
        ignore_index: int | None = None,
        loss_weight: float = 1.0,
        avg_non_ignore: bool = False,
    ) -> None:
        super().__init__(
            use_sigmoid, use_mask, reduction, class_weight, ignore_index, loss_weight, avg_non_ignore
        )
        self._set_num_classes(num_classes)

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Scores (N, C + 1), background last, of logits: (N, C) with sigmoids, (N, C + 1) with a softmax."""
        if not self.use_sigmoid:
            return cls_score.softmax(dim=-1)
        scores = cls_score.sigmoid()
        return torch.cat((scores, (1 - scores.sum(dim=1, keepdim=True)).clamp(0, 1)), dim=1)


@MODELS.register_module()
class FocalCustomLoss(_OfObjects, FocalLoss):
    """`FocalLoss` that measures the accuracy of objects alone.

    Args:
        use_sigmoid: Only True.
        num_classes: C; the head's.
        gamma: See `FocalLoss`.
        alpha: See `FocalLoss`.
        reduction: See `FocalLoss`.
        loss_weight: See `FocalLoss`.
        activated: See `FocalLoss`.

    Raises:
        BuildError: `num_classes` is not given, or `use_sigmoid` is False.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        num_classes: int = -1,
        gamma: float = 2.0,
        alpha: float = 0.25,
        reduction: str = "mean",
        loss_weight: float = 1.0,
        activated: bool = False,
    ) -> None:
        super().__init__(use_sigmoid, gamma, alpha, reduction, loss_weight, activated)
        self._set_num_classes(num_classes)

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Scores (N, C) of logits (N, C)."""
        return cls_score.sigmoid()
