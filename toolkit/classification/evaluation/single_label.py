"""Precision, recall and F1 of each class."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from toolkit.classification.evaluation.collecting import LabelMetric, threshold_suffix, thresholds
from toolkit.classification.registry import METRICS
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

logger = logging.getLogger("toolkit")

ITEMS = ("precision", "recall", "f1-score", "support")


class _Counts(NamedTuple):
    """Of each class (C,), or of all together (1,): hits, predictions and true samples."""

    hits: Tensor
    predicted: Tensor
    true: Tensor

    def scores(self) -> dict[str, Tensor]:
        """The items by name, in percent; 0 where there is nothing to divide by."""
        hits = self.hits.double() * 100
        return {
            "precision": hits / self.predicted.clamp(min=1),
            "recall": hits / self.true.clamp(min=1),
            "f1-score": 2 * hits / (self.predicted + self.true).clamp(min=1),
            "support": self.true,
        }


@METRICS.register_module()
class SingleLabelMetric(LabelMetric):
    """Precision, recall, F1 and support, as `single-label/precision` and so on, in percent.

    A table of all classes is logged where their names are known.

    Args:
        thrs: A prediction counts if its score is above the threshold; None: always. With several, the names
            say which.
        items: Which of precision, recall, f1-score and support.
        average: 'macro' for the mean over classes; 'micro' counts all classes together; None gives lists
            with a number a class, under names that end in `_classwise`.
        num_classes: Number of classes, needed where only labels are predicted.
        collect_device: See `BaseMetric`.
        prefix: See `BaseMetric`.
    """

    default_prefix = "single-label"

    def __init__(
        self,
        thrs: float | Sequence[float | None] | None = 0.0,
        items: Sequence[str] = ("precision", "recall", "f1-score"),
        average: str | None = "macro",
        num_classes: int | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        for item in items:
            if item not in ITEMS:
                raise ConfigError(
                    f"items of SingleLabelMetric are {', '.join(ITEMS)}, but got "
                    f"{item!r}{did_you_mean(item, ITEMS)}"
                )
        if average not in ("macro", "micro", None):
            raise ConfigError(f"average must be 'macro', 'micro' or None, but got {average!r}")
        self.thrs = thresholds(thrs)
        self.items = tuple(items)
        self.average = average
        self.num_classes = num_classes

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """The items by name, for each threshold."""
        target, scores = self.targets(results), self.scores(results)
        if scores is None:
            if self.num_classes is None:
                raise ConfigError(
                    "SingleLabelMetric needs num_classes where the model predicts labels without scores"
                )
            labels, best, classes = self.predicted(results), None, self.num_classes
            thrs: tuple[float | None, ...] = (None,)
        else:
            best, labels = scores.max(dim=1)
            classes, thrs = scores.shape[1], self.thrs
        metrics: dict[str, Any] = {}
        for thr in thrs:
            counted = torch.ones_like(labels, dtype=torch.bool) if thr is None or best is None else best > thr
            counts = _count(labels, target, counted, classes)
            self._log_table(counts)
            metrics.update(self._averaged(counts, threshold_suffix(thr, len(thrs) > 1)))
        return metrics

    def _averaged(self, counts: _Counts, suffix: str) -> dict[str, Any]:
        if self.average == "micro":
            counts = _Counts(*(part.sum(dim=0, keepdim=True) for part in counts))
        found = counts.scores()
        if self.average is None:
            return {f"{item}_classwise{suffix}": found[item].tolist() for item in self.items}
        return {
            item + suffix: int(found[item].sum()) if item == "support" else float(found[item].mean())
            for item in self.items
        }

    def _log_table(self, counts: _Counts) -> None:
        names = (self.dataset_meta or {}).get("classes")
        if names is None or len(names) != len(counts.true):
            return
        found = {item: values.tolist() for item, values in counts.scores().items()}
        width = max(len("class"), *map(len, names))
        lines = [f"{'class':<{width}}  precision  recall  f1-score  support"]
        for row, name in enumerate(names):
            precision, recall, f1, support = (found[item][row] for item in ITEMS)
            lines.append(f"{name:<{width}}  {precision:9.2f}  {recall:6.2f}  {f1:8.2f}  {support:7d}")
        logger.info("\n%s", "\n".join(lines))

    @staticmethod
    def calculate(pred: Tensor, target: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Precision, recall, F1 (percent) and support of each class, (num_classes,) each.

        Args:
            pred: Labels (N,) or scores (N, num_classes).
            target: Labels (N,).
            num_classes: Number of classes.
        """
        labels = pred.argmax(dim=1) if pred.dim() == 2 else pred
        found = _count(labels, target, torch.ones_like(labels, dtype=torch.bool), num_classes).scores()
        return found["precision"], found["recall"], found["f1-score"], found["support"]


def _count(labels: Tensor, target: Tensor, counted: Tensor, classes: int) -> _Counts:
    def histogram(values: Tensor) -> Tensor:
        return torch.bincount(values, minlength=classes)

    return _Counts(
        histogram(target[counted & (labels == target)]), histogram(labels[counted]), histogram(target)
    )
