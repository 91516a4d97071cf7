"""Top-k accuracy and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.classification.evaluation.collecting import LabelMetric, threshold_suffix, thresholds
from toolkit.classification.registry import METRICS
from toolkit.classification.topk import topk_accuracy


@METRICS.register_module()
class Accuracy(LabelMetric):
    """Percent of samples whose label is among the k highest scores, as `accuracy/top1`, `accuracy/top5`.

    Where the model predicts labels without scores, only `top1` is computed.

    Args:
        topk: The numbers k, one or several.
        thrs: A hit counts if its score is above the threshold; None: always. With several, the names say
            which.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
    """

    default_prefix = "accuracy"

    def __init__(
        self,
        topk: int | Sequence[int] = (1,),
        thrs: float | Sequence[float | None] | None = 0.0,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk = (topk,) if isinstance(topk, int) else tuple(topk)
        self.thrs = thresholds(thrs)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """`top{k}`, or `top{k}_thr-0.50` for each of several thresholds."""
        target, scores = self.targets(results), self.scores(results)
        if scores is None:
            return {"top1": float((self.predicted(results) == target).float().mean() * 100)}
        found = topk_accuracy(scores, target, self.topk, self.thrs)
        several = len(self.thrs) > 1
        return {
            f"top{k}{threshold_suffix(thr, several)}": float(value)
            for k, values in zip(self.topk, found, strict=True)
            for thr, value in zip(self.thrs, values, strict=True)
        }


@METRICS.register_module()
class ConfusionMatrix(LabelMetric):
    """How often each class is taken for each other, as `confusion_matrix/result`.

    Args:
        num_classes: Number of classes; by default that of the scores.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
    """

    default_prefix = "confusion_matrix"

    def __init__(
        self, num_classes: int | None = None, collect_device: str = "cpu", prefix: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.num_classes = num_classes

    def compute_metrics(self, results: list[Any]) -> dict[str, list[list[int]]]:
        """`result`: a row a true class, a column a predicted one."""
        target, scores = self.targets(results), self.scores(results)
        predicted = self.predicted(results) if scores is None else scores.argmax(dim=1)
        classes = self.num_classes or (
            int(max(target.max(), predicted.max())) + 1 if scores is None else scores.shape[1]
        )
        return {"result": self.calculate(predicted, target, classes).tolist()}

    @staticmethod
    def calculate(pred: Tensor, target: Tensor, num_classes: int) -> Tensor:
        """The matrix, int64 (num_classes, num_classes), of labels (N,) or scores (N, C)."""
        labels = pred.argmax(dim=1) if pred.dim() == 2 else pred
        return torch.bincount(target * num_classes + labels, minlength=num_classes**2).view(
            num_classes, num_classes
        )
