"""Matching with as many priors for a ground truth as their overlaps add up to, of SimOTA and RTMDet."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData

EPS = 1e-7


def dynamic_k_matching(cost: Tensor, overlaps: Tensor, candidate_topk: int) -> Tensor:
    """Give each ground truth the priors that cost it least, about as many as its largest overlaps sum up to.

    A prior that several would have goes to the one that it costs least. All ground truths go together, and
    nothing waits for the device.

    Args:
        cost: (V, G); V at least 1.
        overlaps: (V, G).
        candidate_topk: How many overlaps are summed up.

    Returns:
        The ground truth of each prior from 0, (V,) int64; -1 for none.
    """
    most = min(candidate_topk, len(cost))
    counts = overlaps.topk(most, dim=0).values.sum(0).int().clamp(min=1)  # (G,)
    cheapest = cost.topk(most, dim=0, largest=False).indices  # (most, G)
    taken = torch.arange(most, device=cost.device).unsqueeze(1) < counts
    match = torch.zeros_like(cost, dtype=torch.bool).scatter_(0, cheapest, taken)
    takers = match.sum(1)
    owner = torch.where(takers > 1, cost.argmin(1), match.int().argmax(1))
    return torch.where(takers > 0, owner, -1)


class DynamicKAssigner(BaseAssigner):
    """Base of assigners that match predictions with ground truths by a cost.

    Args:
        topk: How many overlaps say how many priors a ground truth gets.
        iou_calculator: Config of the calculator of overlaps.
    """

    unmatched: ClassVar[float]
    """The overlap of priors without a ground truth in the result."""

    def __init__(self, topk: int, iou_calculator: dict[str, Any]) -> None:
        self.topk = topk
        self.iou_calculator = TASK_UTILS.build(iou_calculator)

    @abstractmethod
    def _candidates(self, priors: Tensor, boxes: Tensor) -> Tensor:
        """Which priors (N, 4) may stand for one of the ground truths (G, 4) at all, (N,) bool."""

    @abstractmethod
    def _cost(
        self, priors: Tensor, scores: Tensor, overlaps: Tensor, boxes: Tensor, gt_instances: InstanceData
    ) -> Tensor:
        """What it costs to match candidates with ground truths, (V, G).

        Args:
            priors: (V, 4) as x, y, and strides in x and y.
            scores: (V, C).
            overlaps: Of the predicted boxes with the ground truths, (V, G).
            boxes: Of the ground truths, (G, 4).
            gt_instances: The ground truths.
        """

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """See `BaseAssigner.assign`.

        Args:
            pred_instances: ``priors`` (N, 4) as x, y, and strides in x and y; ``bboxes`` (N, 4) and
                ``scores`` (N, C), what is predicted there.
            gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,).
            gt_instances_ignore: Not used.
            **kwargs: Not used.
        """
        boxes, labels = get_box_tensor(gt_instances.bboxes), gt_instances.labels
        predicted, priors = get_box_tensor(pred_instances.bboxes), pred_instances.priors
        gt_inds = labels.new_zeros(len(predicted), dtype=torch.long)
        classes, best = torch.full_like(gt_inds, -1), predicted.new_zeros(len(predicted))
        if not len(boxes):
            return AssignResult(0, gt_inds, best, classes)
        candidates = self._candidates(priors, boxes).nonzero().squeeze(1)
        if not len(candidates):
            return AssignResult(len(boxes), gt_inds, best, classes)
        overlaps = self.iou_calculator(predicted[candidates], boxes)
        cost = self._cost(
            priors[candidates], pred_instances.scores[candidates], overlaps, boxes, gt_instances
        )
        owner = dynamic_k_matching(cost, overlaps, self.topk)
        matched = owner >= 0
        chosen = owner.clamp(min=0)
        gt_inds[candidates] = owner + 1
        classes[candidates] = torch.where(matched, labels[chosen], -1)
        best = torch.full_like(best, self.unmatched, dtype=torch.float32)
        own = overlaps.gather(1, chosen.unsqueeze(1)).squeeze(1).float()
        best[candidates] = torch.where(matched, own, self.unmatched)
        return AssignResult(len(boxes), gt_inds, best, classes)


def side_distances(priors: Tensor, boxes: Tensor) -> Tensor:
    """The least distance (N, G) from priors (N, 2+) to a side of boxes (G, 4), negative outside."""
    x, y = priors[:, 0:1], priors[:, 1:2]
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.minimum(torch.minimum(x - x1, x2 - x), torch.minimum(y - y1, y2 - y))
