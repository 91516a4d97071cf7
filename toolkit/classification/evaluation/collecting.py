"""What the metrics keep of a sample, and how they read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.classification.structures import format_label
from toolkit.evaluator import BaseMetric
from toolkit.utils.errors import DataError


class LabelMetric(BaseMetric):
    """Collects `pred_score` (or `pred_label`) and `gt_label` of each sample."""

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the labels and scores of a batch; they stay on the device until the end."""
        for sample in data_samples:
            kept = {"gt_label": _true_label(sample)}
            name = "pred_score" if "pred_score" in sample else "pred_label"
            if name not in sample:
                raise DataError(f"{type(self).__name__} needs pred_score or pred_label in the predictions")
            kept[name] = sample[name] if name == "pred_score" else format_label(sample[name])
            self.results.append(kept)

    @staticmethod
    def targets(results: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """The true labels (N,)."""
        return torch.cat([result["gt_label"] for result in results])

    @staticmethod
    def scores(results: Sequence[Mapping[str, Tensor]]) -> Tensor | None:
        """The scores (N, C); None where only labels were predicted."""
        if "pred_score" not in results[0]:
            return None
        return torch.stack([result["pred_score"] for result in results]).float()

    @staticmethod
    def predicted(results: Sequence[Mapping[str, Tensor]]) -> Tensor:
        """The predicted labels (N,), where no scores were."""
        return torch.cat([result["pred_label"] for result in results])


def _true_label(sample: Mapping[str, Any]) -> Tensor:
    if "gt_label" in sample:
        label = format_label(sample["gt_label"])
    elif "gt_score" in sample:
        label = sample["gt_score"].argmax().reshape(1)
    else:
        raise DataError(
            "a sample to evaluate has no gt_label; does the dataset load its labels (with_label=True)?"
        )
    if label.numel() != 1:
        raise DataError(f"a sample has {label.numel()} labels; this metric is for one each")
    return label


def thresholds(thrs: float | Sequence[float | None] | None) -> tuple[float | None, ...]:
    """One threshold, several, or None (no threshold), as a tuple."""
    return tuple(thrs) if isinstance(thrs, Sequence) else (thrs,)


def threshold_suffix(thr: float | None, several: bool) -> str:
    """What tells the numbers of several thresholds apart."""
    if not several:
        return ""
    return "_no-thr" if thr is None else f"_thr-{thr:.2f}"
