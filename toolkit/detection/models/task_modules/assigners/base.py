"""What an assigner gives, and its base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from toolkit.structures import InstanceData


class AssignResult:
    """Which ground truth each prior stands for.

    Args:
        num_gts: How many ground truths there were.
        gt_inds: (N,) int64: 0 is background, i the i-th ground truth counted from 1, -1 ignored.
        max_overlaps: (N,): the overlap of each prior with the ground truth that it overlaps most.
        labels: (N,) int64: the class of the ground truth; -1 for the others.
    """

    def __init__(self, num_gts: int, gt_inds: Tensor, max_overlaps: Tensor, labels: Tensor) -> None:
        self.num_gts = num_gts
        self.gt_inds = gt_inds
        self.max_overlaps = max_overlaps
        self.labels = labels
        self._extra: dict[str, Any] = {}

    @property
    def num_preds(self) -> int:
        """How many priors there were."""
        return len(self.gt_inds)

    def set_extra_property(self, key: str, value: Any) -> None:
        """Keep a value that an assigner adds for its own head."""
        self._extra[key] = value

    def get_extra_property(self, key: str) -> Any:
        """A value kept by `set_extra_property`; None where there is none."""
        return self._extra.get(key)

    def add_gt_(self, gt_labels: Tensor) -> None:
        """Put the ground truths themselves before the priors, in place.

        Args:
            gt_labels: Their classes, (num_gts,).
        """
        own = torch.arange(1, len(gt_labels) + 1, dtype=torch.long, device=gt_labels.device)
        self.gt_inds = torch.cat((own, self.gt_inds))
        self.max_overlaps = torch.cat((self.max_overlaps.new_ones(len(gt_labels)), self.max_overlaps))
        self.labels = torch.cat((gt_labels, self.labels))

    def __repr__(self) -> str:
        return f"AssignResult(num_gts={self.num_gts}, num_preds={self.num_preds})"


class BaseAssigner(ABC):
    """Base of assigners."""

    @abstractmethod
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """Say which ground truth each prior stands for.

        Args:
            pred_instances: ``priors`` (N, 4), and whatever else the assigner looks at.
            gt_instances: ``bboxes`` (K, 4) and ``labels`` (K,).
            gt_instances_ignore: ``bboxes`` of regions whose priors neither train as object nor as background.
            **kwargs: Of the assigner.
        """
