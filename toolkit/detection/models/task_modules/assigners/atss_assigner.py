"""Adaptive training sample selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.task_modules.builder import build_iou_calculator
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData
from toolkit.utils import TrainingError

FAR = 1e8
# A centre must be this far inside of a ground truth, in pixels.
_MARGIN = 0.01


@TASK_UTILS.register_module()
class ATSSAssigner(BaseAssigner):
    """Of the priors nearest to a ground truth, those that overlap it unusually much (Zhang et al., "Bridging
    the Gap Between Anchor-based and Anchor-free Detection", 2019).

    The `topk` nearest a level are candidates; those whose overlap is at least the mean plus the standard
    deviation of all candidates', and whose centre is inside, are objects.

    Args:
        topk: Candidates a level.
        alpha: With it, overlaps are ``score^(1 - alpha) * IoU^alpha`` of the predictions (Chen et al.,
            "Disentangle Your Dense Object Detector", 2021), which come as ``scores`` (N, C) and ``bboxes``
            (N, 4) of the priors.
        iou_calculator: Config of what computes the overlaps.
        ignore_iof_thr: Priors of which more than this part lies in an ignored region are ignored; negative
            for none.
    """

    takes_level_counts = True

    def __init__(
        self,
        topk: int,
        alpha: float | None = None,
        iou_calculator: Mapping[str, Any] = {"type": "BboxOverlaps2D"},
        ignore_iof_thr: float = -1,
    ) -> None:
        self.topk, self.alpha = topk, alpha
        self.iou_calculator = build_iou_calculator(iou_calculator)
        self.ignore_iof_thr = ignore_iof_thr

    def assign(  # type: ignore[override]
        self,
        pred_instances: InstanceData,
        num_level_priors: Sequence[int],
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """See `BaseAssigner.assign`.

        Args:
            pred_instances: ``priors`` (N, 4), with `alpha` also ``scores`` (logits) and ``bboxes``.
            num_level_priors: How many priors each level has.
            gt_instances: ``bboxes`` (K, 4) and ``labels`` (K,).
            gt_instances_ignore: ``bboxes`` of ignored regions.

        Returns:
            ``max_overlaps`` is -1e8 for what is no object.

        Raises:
            TrainingError: `alpha` is set, and there are no predictions.
        """
        priors, boxes = get_box_tensor(pred_instances.priors)[:, :4], get_box_tensor(gt_instances.bboxes)
        num_priors, num_gts = len(priors), len(boxes)
        if num_priors == 0 or num_gts == 0:
            return AssignResult(
                num_gts,
                gt_inds=priors.new_zeros(num_priors, dtype=torch.long),
                max_overlaps=priors.new_zeros(num_priors),
                labels=priors.new_full((num_priors,), -1, dtype=torch.long),
            )
        ignored = self._ignored(priors, gt_instances_ignore)
        candidates = self._nearest(priors, boxes, num_level_priors, ignored)  # (G, K)
        overlaps = self._overlaps(pred_instances, gt_instances, candidates)
        enough = overlaps >= overlaps.mean(1, keepdim=True) + overlaps.std(1, keepdim=True)
        inside = centres_inside(priors, boxes, candidates)
        best, owner = best_owner(candidates, torch.where(enough & inside, overlaps, -FAR), num_priors)
        rest = 0 if ignored is None else -ignored.long()
        gt_inds = torch.where(best > -FAR, owner + 1, rest)
        labels = torch.where(gt_inds > 0, gt_instances.labels[owner], -1)
        return AssignResult(num_gts, gt_inds=gt_inds, max_overlaps=best, labels=labels)

    def _nearest(
        self, priors: Tensor, boxes: Tensor, num_level_priors: Sequence[int], ignored: Tensor | None
    ) -> Tensor:
        """The priors whose centres are nearest to each ground truth's, (G, at most topk a level)."""
        centres, goals = (priors[:, :2] + priors[:, 2:]) / 2, (boxes[:, :2] + boxes[:, 2:]) / 2
        distances = (goals[:, None] - centres).pow(2).sum(-1).sqrt()  # (G, N)
        if ignored is not None:
            distances = distances.masked_fill(ignored, FAR)
        chosen, start = [], 0
        for level in distances.split(list(num_level_priors), dim=1):
            count = min(self.topk, level.size(1))
            chosen.append(level.topk(count, dim=1, largest=False).indices + start)
            start += level.size(1)
        return torch.cat(chosen, dim=1)

    def _overlaps(self, pred: InstanceData, gt: InstanceData, candidates: Tensor) -> Tensor:
        """Overlaps, or what stands for them, of candidates (G, K) and their ground truths."""
        count = candidates.size(1)
        boxes = get_box_tensor(gt.bboxes).repeat_interleave(count, dim=0)
        chosen = candidates.flatten()
        if self.alpha is None:
            priors = get_box_tensor(pred.priors)[chosen]
            return self.iou_calculator(priors, boxes, is_aligned=True).view_as(candidates)
        if "scores" not in pred or "bboxes" not in pred:
            raise TrainingError("ATSSAssigner with alpha needs the predictions, 'scores' and 'bboxes'")
        scores = pred.scores[chosen, gt.labels.repeat_interleave(count)].sigmoid()
        ious = self.iou_calculator(pred.bboxes[chosen], boxes, is_aligned=True)
        return (scores ** (1 - self.alpha) * ious**self.alpha).view_as(candidates)

    def _ignored(self, priors: Tensor, regions: InstanceData | None) -> Tensor | None:
        if self.ignore_iof_thr <= 0 or regions is None or len(regions) == 0:
            return None
        part = self.iou_calculator(priors, get_box_tensor(regions.bboxes), mode="iof").amax(dim=1)
        return part > self.ignore_iof_thr


def centres_inside(priors: Tensor, boxes: Tensor, candidates: Tensor) -> Tensor:
    """Whether centres of candidates (G, K) among priors (N, 4) are inside of boxes (G, 4): (G, K) bool."""
    at = ((priors[:, :2] + priors[:, 2:]) / 2)[candidates]  # (G, K, 2)
    return torch.cat((at - boxes[:, None, :2], boxes[:, None, 2:] - at), dim=-1).amin(-1) > _MARGIN


def best_owner(candidates: Tensor, values: Tensor, num_priors: int) -> tuple[Tensor, Tensor]:
    """Of each prior the largest value among its entries in candidates (G, K), and the first row it is from.

    Priors without an entry have -1e8 and row 0.
    """
    flat, entries = candidates.flatten(), values.flatten()
    best = values.new_full((num_priors,), -FAR).scatter_reduce(0, flat, entries, "amax")
    row = torch.arange(len(candidates), device=values.device).repeat_interleave(candidates.size(1))
    row = torch.where(entries == best[flat], row, len(candidates))
    owner = row.new_full((num_priors,), len(candidates)).scatter_reduce(0, flat, row, "amin")
    return best, torch.where(best > -FAR, owner, 0)
