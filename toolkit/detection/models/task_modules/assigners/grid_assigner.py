"""Assignment by the cell that an object's centre is in."""

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
from toolkit.utils import BuildError


@TASK_UTILS.register_module()
class GridAssigner(BaseAssigner):
    """Objects are priors of the cells of ground truths' centres, by overlap (Redmon and Farhadi, "YOLOv3",
    2018). Other priors are background, or where they overlap a ground truth too much, ignored.

    Args:
        pos_iou_thr: A prior of such a cell is an object from more than this overlap on.
        neg_iou_thr: Up to this overlap a prior is background; two numbers: from more than the first up to
            the second.
        min_pos_iou: The best such prior of a ground truth is an object from more than this overlap on.
        gt_max_assign_all: That goes for all that overlap it as much as the best.
        iou_calculator: Config of what computes the overlaps.

    Raises:
        BuildError: `neg_iou_thr` is neither a number nor two.
    """

    def __init__(
        self,
        pos_iou_thr: float,
        neg_iou_thr: float | tuple[float, float],
        min_pos_iou: float = 0.0,
        gt_max_assign_all: bool = True,
        iou_calculator: Mapping[str, Any] = {"type": "BboxOverlaps2D"},
    ) -> None:
        if not isinstance(neg_iou_thr, (int, float)) and len(neg_iou_thr) != 2:
            raise BuildError(f"neg_iou_thr must be a number or two, got {neg_iou_thr!r}")
        self.pos_iou_thr, self.neg_iou_thr, self.min_pos_iou = pos_iou_thr, neg_iou_thr, min_pos_iou
        self.gt_max_assign_all = gt_max_assign_all
        self.iou_calculator = build_iou_calculator(iou_calculator)

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """See `BaseAssigner.assign`.

        Args:
            pred_instances: ``priors`` (N, 4), and ``responsible_flags`` (N,): those of the cells.
            gt_instances: ``bboxes`` (K, 4) and ``labels`` (K,).
            gt_instances_ignore: Not used.
            **kwargs: Not used.
        """
        priors, boxes = get_box_tensor(pred_instances.priors), get_box_tensor(gt_instances.bboxes)
        num_priors, num_gts = len(priors), len(boxes)
        if num_priors == 0 or num_gts == 0:
            return AssignResult(
                num_gts,
                gt_inds=priors.new_zeros(num_priors, dtype=torch.long),
                max_overlaps=priors.new_zeros(num_priors),
                labels=priors.new_full((num_priors,), -1, dtype=torch.long),
            )
        responsible = pred_instances.responsible_flags.bool()
        overlaps = self.iou_calculator(boxes, priors)  # (G, N)
        gt_inds = torch.where(self._is_background(overlaps.amax(0)), 0, -1)
        overlaps = overlaps.masked_fill(~responsible, -1.0)
        best, owner = overlaps.max(dim=0)
        gt_inds = torch.where((best > self.pos_iou_thr) & responsible, owner + 1, gt_inds)
        most, first = overlaps.max(dim=1, keepdim=True)
        if self.gt_max_assign_all:
            match = overlaps == most
        else:
            match = torch.zeros_like(overlaps, dtype=torch.bool).scatter_(1, first, True)
        match &= (most > self.min_pos_iou) & responsible
        number = torch.arange(1, num_gts + 1, device=priors.device).unsqueeze(1)
        last = (match * number).amax(0)  # of several ground truths the last one, from 1; 0 for none
        gt_inds = torch.where(last > 0, last, gt_inds)
        labels = torch.where(gt_inds > 0, gt_instances.labels[(gt_inds - 1).clamp(min=0)], -1)
        return AssignResult(num_gts, gt_inds=gt_inds, max_overlaps=best, labels=labels)

    def _is_background(self, most: Tensor) -> Tensor:
        if isinstance(self.neg_iou_thr, (int, float)):
            return (most >= 0) & (most <= self.neg_iou_thr)
        low, high = self.neg_iou_thr
        return (most > low) & (most <= high)
