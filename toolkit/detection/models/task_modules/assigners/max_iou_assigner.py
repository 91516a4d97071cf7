"""Assignment by the largest overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.task_modules.assigners.repeated_boxes import told_apart
from toolkit.detection.models.task_modules.builder import build_iou_calculator
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

# How many overlaps are held at once: 64 MB of float32, whatever the number of objects in an image.
_CHUNK = 1 << 24


@TASK_UTILS.register_module()
class MaxIoUAssigner(BaseAssigner):
    """A prior stands for the ground truth that it overlaps most, where that is enough (Ren et al., "Faster
    R-CNN").

    In this order, the later rule overriding the earlier one: everything is ignored; priors whose largest
    overlap is below `neg_iou_thr` are background; those of at least `pos_iou_thr` are the ground truth of
    that overlap; and, with `match_low_quality`, the priors that overlap a ground truth most (by at least
    `min_pos_iou`) are that ground truth.

    Nothing waits for the device, and memory is bounded: overlaps are computed for some ground truths at a
    time.

    Args:
        pos_iou_thr: Least overlap of an object.
        neg_iou_thr: Overlap that background stays below; or the two bounds ``(low, high)``, low included.
        min_pos_iou: Least overlap of a low-quality match.
        gt_max_assign_all: Whether all priors that tie for the largest overlap are matched, or the first.
        ignore_iof_thr: Priors are ignored of which more than this part lies in an ignored region; negative
            for none.
        ignore_wrt_candidates: Whether that part is of the prior's area, or of the ignored region's.
        match_low_quality: See above.
        gpu_assign_thr: Accepted for configs of MMDetection, where it sends large problems to the CPU; not
            needed here.
        iou_calculator: Config of what computes the overlaps.
        perm_repeat_gt_cfg: `iou_thr` and `perm_range` of `told_apart`, for data in which one box is annotated
            with several classes; None for others.

    Raises:
        BuildError: `neg_iou_thr` is neither a number nor two.
    """

    def __init__(
        self,
        pos_iou_thr: float,
        neg_iou_thr: float | tuple[float, float],
        min_pos_iou: float = 0.0,
        gt_max_assign_all: bool = True,
        ignore_iof_thr: float = -1,
        ignore_wrt_candidates: bool = True,
        match_low_quality: bool = True,
        gpu_assign_thr: float = -1,
        iou_calculator: Mapping[str, Any] = {"type": "BboxOverlaps2D"},
        perm_repeat_gt_cfg: Mapping[str, float] | None = None,
    ) -> None:
        self.pos_iou_thr = pos_iou_thr
        self.neg_iou_thr = neg_iou_thr
        if isinstance(neg_iou_thr, (int, float)):
            self._neg_bounds = (0.0, float(neg_iou_thr))
        elif len(neg_iou_thr) == 2:
            self._neg_bounds = (float(neg_iou_thr[0]), float(neg_iou_thr[1]))
        else:
            raise BuildError(f"neg_iou_thr must be a number or two, got {neg_iou_thr!r}")
        self.min_pos_iou = min_pos_iou
        self.gt_max_assign_all = gt_max_assign_all
        self.ignore_iof_thr = ignore_iof_thr
        self.ignore_wrt_candidates = ignore_wrt_candidates
        self.match_low_quality = match_low_quality
        self.gpu_assign_thr = gpu_assign_thr
        self.iou_calculator = build_iou_calculator(iou_calculator)
        self.perm_repeat_gt_cfg = perm_repeat_gt_cfg

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """See `BaseAssigner.assign`. Looks at ``priors`` only.

        Examples:
            >>> assigner = MaxIoUAssigner(pos_iou_thr=0.5, neg_iou_thr=0.5)
            >>> priors = torch.tensor([[0.0, 0, 10, 10], [10, 10, 20, 20]])
            >>> gts = InstanceData(bboxes=torch.tensor([[0.0, 0, 10, 9]]), labels=torch.tensor([3]))
            >>> assigner.assign(InstanceData(priors=priors), gts).gt_inds
            tensor([1, 0])
        """
        priors, boxes = get_box_tensor(pred_instances.priors), get_box_tensor(gt_instances.bboxes)
        num_priors, num_gts = priors.size(0), boxes.size(0)
        if num_priors == 0 or num_gts == 0:
            return AssignResult(
                num_gts,
                gt_inds=priors.new_zeros(num_priors, dtype=torch.long),
                max_overlaps=priors.new_zeros(num_priors),
                labels=priors.new_full((num_priors,), -1, dtype=torch.long),
            )
        if self.perm_repeat_gt_cfg is not None:
            boxes = told_apart(boxes, **self.perm_repeat_gt_cfg)
        ignored = self._ignored(priors, gt_instances_ignore)
        best, owner, low_quality = self._scan(priors, boxes, ignored)

        low, high = self._neg_bounds
        gt_inds = torch.where((best >= low) & (best < high), 0, -1)
        gt_inds = torch.where(best >= self.pos_iou_thr, owner + 1, gt_inds)
        if self.match_low_quality:
            gt_inds = torch.where(low_quality > 0, low_quality, gt_inds)
        labels = torch.where(gt_inds > 0, gt_instances.labels[(gt_inds - 1).clamp_(min=0)], -1)
        return AssignResult(num_gts, gt_inds=gt_inds, max_overlaps=best, labels=labels)

    def _scan(self, priors: Tensor, boxes: Tensor, ignored: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Of each prior: its largest overlap, whose it is, and its low-quality match (from 1; 0: none)."""
        best = owner = low_quality = torch.empty(0)
        for start, overlaps in self._chunks(priors, boxes):
            if ignored is not None:
                overlaps = overlaps.masked_fill(ignored, -1)
            values, inds = overlaps.max(dim=0)
            inds = inds + start
            matches = self._low_quality(overlaps, start) if self.match_low_quality else low_quality
            if start == 0:
                best, owner, low_quality = values, inds, matches
                continue
            better = values > best
            best, owner = torch.where(better, values, best), torch.where(better, inds, owner)
            low_quality = torch.maximum(low_quality, matches)
        return best, owner, low_quality

    def _chunks(self, priors: Tensor, boxes: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Overlaps (k, N) of the ground truths from an index on."""
        step = max(1, _CHUNK // priors.size(0))
        for start in range(0, boxes.size(0), step):
            yield start, self.iou_calculator(boxes[start : start + step], priors)

    def _low_quality(self, overlaps: Tensor, start: int) -> Tensor:
        """Of each prior: the last ground truth that overlaps no prior more, from 1; 0 for none."""
        most, first = overlaps.max(dim=1, keepdim=True)
        enough = most >= self.min_pos_iou
        if self.gt_max_assign_all:
            match = (overlaps == most) & enough
        else:
            match = torch.zeros_like(overlaps, dtype=torch.bool).scatter_(1, first, enough)
        last = start + overlaps.size(0)
        number = torch.arange(start + 1, last + 1, dtype=torch.int32, device=overlaps.device)
        return (match * number.unsqueeze(1)).amax(dim=0).long()

    def _ignored(self, priors: Tensor, regions: InstanceData | None) -> Tensor | None:
        """Which priors lie in ignored regions, (N,) bool; None where nothing is to be ignored."""
        if self.ignore_iof_thr <= 0 or regions is None or len(regions) == 0:
            return None
        boxes = get_box_tensor(regions.bboxes)
        if self.ignore_wrt_candidates:
            part = self.iou_calculator(priors, boxes, mode="iof").amax(dim=1)
        else:
            part = self.iou_calculator(boxes, priors, mode="iof").amax(dim=0)
        return part > self.ignore_iof_thr
