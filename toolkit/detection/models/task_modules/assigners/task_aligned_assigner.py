"""Assignment by how well a prediction is classified and placed together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from toolkit.detection.models.task_modules.assigners.atss_assigner import FAR, best_owner, centres_inside
from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.task_modules.builder import build_iou_calculator
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError


@TASK_UTILS.register_module()
class TaskAlignedAssigner(BaseAssigner):
    """Of the priors inside of a ground truth, those with the largest ``score^alpha * IoU^beta`` (Feng et al.,
    "TOOD: Task-aligned One-stage Object Detection", 2021).

    Args:
        topk: How many an object has at most.
        iou_calculator: Config of what computes the overlaps.

    Raises:
        BuildError: `topk` is less than 1.
    """

    def __init__(self, topk: int, iou_calculator: Mapping[str, Any] = {"type": "BboxOverlaps2D"}) -> None:
        if topk < 1:
            raise BuildError(f"topk of TaskAlignedAssigner must be at least 1, got {topk}")
        self.topk = topk
        self.iou_calculator = build_iou_calculator(iou_calculator)

    @torch.no_grad()
    def assign(  # type: ignore[override]
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        alpha: float = 1,
        beta: float = 6,
    ) -> AssignResult:
        """See `BaseAssigner.assign`.

        Args:
            pred_instances: ``priors`` (N, 4), ``scores`` (N, C) as probabilities and ``bboxes`` (N, 4).
            gt_instances: ``bboxes`` (K, 4) and ``labels`` (K,).
            gt_instances_ignore: Not used.
            alpha: Exponent of the scores.
            beta: Exponent of the overlaps.

        Returns:
            ``max_overlaps`` is -1e8 for what is no object. The extra property ``assign_metrics`` (N,) is what
            objects were chosen by, and 0 for others.
        """
        priors, boxes = get_box_tensor(pred_instances.priors)[:, :4], get_box_tensor(gt_instances.bboxes)
        num_priors, num_gts = len(priors), len(boxes)
        if num_priors == 0 or num_gts == 0:
            result = AssignResult(
                num_gts,
                gt_inds=priors.new_zeros(num_priors, dtype=torch.long),
                max_overlaps=priors.new_zeros(num_priors),
                labels=priors.new_full((num_priors,), -1, dtype=torch.long),
            )
            result.set_extra_property("assign_metrics", priors.new_zeros(num_priors))
            return result
        overlaps = self.iou_calculator(boxes, pred_instances.bboxes)  # (G, N)
        metrics = pred_instances.scores[:, gt_instances.labels].t() ** alpha * overlaps**beta
        values, candidates = metrics.topk(min(self.topk, num_priors), dim=1)
        chosen = (values > 0) & centres_inside(priors, boxes, candidates)
        found = torch.where(chosen, overlaps.gather(1, candidates), -FAR)
        best, owner = best_owner(candidates, found, num_priors)
        positive = best > -FAR
        result = AssignResult(
            num_gts,
            gt_inds=torch.where(positive, owner + 1, 0),
            max_overlaps=best,
            labels=torch.where(positive, gt_instances.labels[owner], -1),
        )
        own = metrics.gather(0, owner.unsqueeze(0)).squeeze(0)
        result.set_extra_property("assign_metrics", torch.where(positive, own, 0))
        return result
