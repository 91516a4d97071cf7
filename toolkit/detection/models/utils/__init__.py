"""Helpers of the detection models."""

from toolkit.detection.models.utils.boxes import (
    bbox2roi,
    bbox_overlaps,
    box_area,
    get_box_tensor,
    scale_boxes,
)
from toolkit.detection.models.utils.misc import (
    multi_apply,
    unpack_gt_instances,
    with_settings,
)

__all__ = [
    "bbox2roi",
    "bbox_overlaps",
    "box_area",
    "get_box_tensor",
    "multi_apply",
    "scale_boxes",
    "unpack_gt_instances",
    "with_settings",
]
