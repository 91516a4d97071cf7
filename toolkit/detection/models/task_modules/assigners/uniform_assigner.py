"""Assignment of equally many priors to each object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.task_modules.builder import build_iou_calculator
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData


@TASK_UTILS.register_module()
class UniformAssigner(BaseAssigner):
    """The nearest predictions and the nearest priors of each ground truth (Chen et al., "You Only Look
    One-level Feature", 2021).

    Args:
        pos_ignore_thr: Of these, priors that overlap it less than this are ignored.
        neg_ignore_thr: Others, whose predictions overlap any ground truth more than this, are ignored.
        match_times: How many predictions, and how many priors, a ground truth has.
        iou_calculator: Config of what computes the overlaps.
    """

    def __init__(
        self,
        pos_ignore_thr: float,
        neg_ignore_thr: float,
        match_times: int = 4,
        iou_calculator: Mapping[str, Any] = {"type": "BboxOverlaps2D"},
    ) -> None:
        self.pos_ignore_thr, self.neg_ignore_thr = pos_ignore_thr, neg_ignore_thr
        self.match_times = match_times
        self.iou_calculator = build_iou_calculator(iou_calculator)

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
            pred_instances: ``priors`` (N, 4), and ``decoder_priors`` (N, 4), what is predicted from them.
            gt_instances: ``bboxes`` (G, 4) and ``labels`` (G,).
            gt_instances_ignore: Not used.
            **kwargs: Not used.

        Returns:
            Extra properties, of M = 2·G·match_times pairs, in which a prior may be more than once:
            ``pos_places`` (M,) int64, the priors; ``target_boxes`` (M, 4), their ground truths' boxes; and
            ``pos_idx`` (M,) bool, which are not ignored.
        """
        priors, boxes = get_box_tensor(pred_instances.priors), get_box_tensor(gt_instances.bboxes)
        predicted = pred_instances.decoder_priors
        num_priors, num_gts = len(priors), len(boxes)
        gt_inds = priors.new_zeros(num_priors, dtype=torch.long)
        labels = torch.full_like(gt_inds, -1)
        places, keeps, goals = gt_inds[:0], gt_inds[:0].bool(), priors.new_zeros(0, 4)
        if num_priors and num_gts:
            nearest = torch.cat((self._nearest(predicted, boxes), self._nearest(priors, boxes)), dim=1)
            places = nearest.flatten()
            owners = torch.arange(num_gts, device=priors.device).repeat(2 * len(nearest))
            goals = boxes[owners]
            keeps = self.iou_calculator(priors[places], goals, is_aligned=True) >= self.pos_ignore_thr
            most = self.iou_calculator(predicted, boxes).amax(1)
            gt_inds = torch.where(most > self.neg_ignore_thr, -1, gt_inds)
            # of several pairs of a prior the last one counts
            number = torch.arange(len(places), device=priors.device)
            last = torch.full_like(gt_inds, -1).scatter_reduce(0, places, number, "amax")
            gt_inds = torch.where(last >= 0, torch.where(keeps, owners + 1, -1)[last], gt_inds)
            labels = torch.where(gt_inds > 0, gt_instances.labels[(gt_inds - 1).clamp(min=0)], -1)
        result = AssignResult(num_gts, gt_inds, priors.new_zeros(num_priors), labels)
        result.set_extra_property("pos_places", places)
        result.set_extra_property("target_boxes", goals)
        result.set_extra_property("pos_idx", keeps)
        return result

    def _nearest(self, candidates: Tensor, boxes: Tensor) -> Tensor:
        """The candidates (match_times, G) with the least differences of centre and size."""
        cost = torch.cdist(_centre_and_size(candidates), _centre_and_size(boxes), p=1)
        return cost.topk(min(self.match_times, len(candidates)), dim=0, largest=False).indices


def _centre_and_size(boxes: Tensor) -> Tensor:
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat(((low + high) / 2, high - low), dim=1)
