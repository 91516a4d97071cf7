"""The assigner of RTMDet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.detection.models.task_modules.assigners.dynamic_k import EPS, DynamicKAssigner, side_distances
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData

_INF = 100000000


@TASK_UTILS.register_module()
class DynamicSoftLabelAssigner(DynamicKAssigner):
    """Costs of classes against their overlap, of overlaps and of distances (Lyu et al., "RTMDet", 2022).

    Args:
        soft_center_radius: From this distance to a ground truth's centre on, in strides, a prior costs more
            than 1, ten times as much each stride.
        topk: How many overlaps say how many priors a ground truth gets.
        iou_weight: Weight of the overlap's cost.
        iou_calculator: Config of the calculator of overlaps.
    """

    unmatched = -float(_INF)

    def __init__(
        self,
        soft_center_radius: float = 3.0,
        topk: int = 13,
        iou_weight: float = 3.0,
        iou_calculator: dict[str, Any] = {"type": "BboxOverlaps2D"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(topk, iou_calculator)
        self.soft_center_radius = soft_center_radius
        self.iou_weight = iou_weight

    def _candidates(self, priors: Tensor, boxes: Tensor) -> Tensor:
        return (side_distances(priors, boxes) > 0).any(1)

    def _cost(
        self, priors: Tensor, scores: Tensor, overlaps: Tensor, boxes: Tensor, gt_instances: InstanceData
    ) -> Tensor:
        masks = gt_instances.get("masks")
        if isinstance(masks, Tensor):
            center = center_of_mass(masks)
        else:
            center = (boxes[:, :2] + boxes[:, 2:]) / 2
        distance = (priors[:, None, :2] - center).square().sum(-1).sqrt() / priors[:, None, 2]
        return (
            self._class_cost(scores, gt_instances.labels, overlaps)
            - torch.log(overlaps + EPS) * self.iou_weight
            + torch.pow(10, distance - self.soft_center_radius)
        )

    @staticmethod
    def _class_cost(logits: Tensor, labels: Tensor, overlaps: Tensor) -> Tensor:
        """Quality focal losses (V, G) of logits (V, C); the class's goal is the overlap, that of others 0.

        Only the class of a ground truth differs between ground truths, so that (V, G, C) isn't needed.
        """
        absent = F.softplus(logits) * logits.sigmoid().square()
        own = logits[:, labels]
        present = F.binary_cross_entropy_with_logits(own, overlaps, reduction="none")
        present = present * (overlaps - own.sigmoid()).square()
        return absent.sum(1, keepdim=True) - absent[:, labels] + present


def center_of_mass(masks: Tensor) -> Tensor:
    """Where the set pixels of masks (G, H, W) are in the mean: (G, 2) as x, y; 0 for an empty one."""
    height, width = masks.shape[1:]
    masks = masks.float()
    columns, rows = masks.sum(1), masks.sum(2)  # (G, W), (G, H)
    count = columns.sum(1).clamp(min=EPS)
    x = (columns * torch.arange(width, device=masks.device)).sum(1) / count
    y = (rows * torch.arange(height, device=masks.device)).sum(1) / count
    return torch.stack((x, y), dim=1)
