"""The assigner of RepPoints' first stage."""

from __future__ import annotations

from typing import Any

import torch

from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData


@TASK_UTILS.register_module()
class PointAssigner(BaseAssigner):
    """Gives each ground truth the nearest points of the level that fits its size (Yang et al., "RepPoints",
    2019, section 4.2).

    Args:
        scale: A ground truth of this size, in pixels, belongs to the level of stride 1.
        pos_num: How many points a ground truth gets; one that several would have goes to the nearest.
    """

    def __init__(self, scale: float = 4, pos_num: int = 3) -> None:
        self.scale = scale
        self.pos_num = pos_num

    @torch.no_grad()
    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
        **kwargs: Any,
    ) -> AssignResult:
        """See `BaseAssigner.assign`; ``priors`` are (N, 3+) as x, y, stride."""
        points, labels = pred_instances.priors, gt_instances.labels
        boxes = get_box_tensor(gt_instances.bboxes)
        gt_inds = labels.new_zeros(len(points), dtype=torch.long)
        none = AssignResult(len(boxes), gt_inds, points.new_zeros(len(points)), torch.full_like(gt_inds, -1))
        if not len(boxes) or not len(points):
            return none
        levels = torch.log2(points[:, 2]).int()
        center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-6)
        own = torch.log2(size / self.scale).mean(1).int().clamp(levels.min(), levels.max())
        distance = ((points[:, None, :2] - center) / size).norm(dim=2)  # (N, G)
        distance = distance.masked_fill(levels[:, None] != own, torch.inf)
        nearest = distance.topk(min(self.pos_num, len(points)), dim=0, largest=False)
        taken = torch.full_like(distance, torch.inf).scatter_(0, nearest.indices, nearest.values)
        least, owner = taken.min(dim=1)
        found = least < torch.inf
        none.gt_inds = torch.where(found, owner + 1, 0)
        none.labels = torch.where(found, labels[owner], -1)
        return none
