"""Boxes as distances from a point to their sides, as a coder."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from toolkit.detection.models.task_modules.coders.base import BaseBBoxCoder
from toolkit.detection.models.utils import bbox2distance, distance2bbox, get_box_tensor
from toolkit.detection.registry import TASK_UTILS


@TASK_UTILS.register_module()
class DistancePointBBoxCoder(BaseBBoxCoder):
    """Boxes as left, top, right, bottom of a point (Tian et al., "FCOS", 2019).

    Args:
        clip_border: Clip decoded boxes to the image.
        use_box_type: See `BaseBBoxCoder`.
    """

    def __init__(self, clip_border: bool = True, use_box_type: bool = False) -> None:
        super().__init__(use_box_type)
        self.clip_border = clip_border

    def encode(
        self, points: Tensor, gt_bboxes: Tensor, max_dis: float | None = None, eps: float = 0.1
    ) -> Tensor:
        """Distances (..., 4) from points (..., 2) to the sides of boxes (..., 4); see `bbox2distance`."""
        return bbox2distance(points, get_box_tensor(gt_bboxes), max_dis, eps)

    def decode(self, points: Tensor, pred_bboxes: Tensor, max_shape: Any = None) -> Tensor:  # type: ignore[override]
        """Boxes (..., 4) from points (..., 2) and distances (..., 4); see `distance2bbox`."""
        return distance2bbox(points, pred_bboxes, max_shape if self.clip_border else None)
