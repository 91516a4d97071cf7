"""One-to-many assignment of least cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.detection.models.task_modules.assigners.hungarian_assigner import HungarianAssigner
from toolkit.detection.models.task_modules.builder import build_iou_calculator
from toolkit.detection.registry import TASK_UTILS

Cfg = Mapping[str, Any]


@TASK_UTILS.register_module()
class TopkHungarianAssigner(HungarianAssigner):
    """`HungarianAssigner` in which each ground truth gets several predictions (Zhang et al., "Dense Distinct
    Query for End-to-End Object Detection", 2023).

    Args:
        topk: How many; fewer where there aren't enough predictions.
        iou_calculator: Config of what computes the overlaps that say how good a match is.
        cls_cost: Config of the cost of classes.
        reg_cost: Config of the cost of boxes.
        iou_cost: Config of the cost of overlaps.
    """

    def __init__(
        self,
        topk: int,
        iou_calculator: Cfg = {"type": "BboxOverlaps2D"},  # noqa: B006 - read only
        cls_cost: Cfg = {"type": "FocalLossCost", "weight": 2.0},  # noqa: B006
        reg_cost: Cfg = {"type": "BBoxL1Cost", "weight": 5.0},  # noqa: B006
        iou_cost: Cfg = {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},  # noqa: B006
    ) -> None:
        super().__init__([cls_cost, reg_cost, iou_cost])
        self.topk = topk
        self.iou_calculator = build_iou_calculator(iou_calculator)

    def _times(self, num_preds: int, num_gts: int) -> int:
        return min(self.topk, num_preds // num_gts) if num_gts else 0

    def _num_pairs(self, num_preds: int, num_gts: int) -> int:
        return self._times(num_preds, num_gts) * num_gts

    def _solve(self, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        times = self._times(*cost.shape)
        rows, cols = super()._solve(cost.repeat(times, axis=1))
        return rows, cols // max(times, 1)
