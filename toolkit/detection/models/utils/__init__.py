"""Helpers of the detection models."""

from toolkit.detection.models.utils.boxes import (
    bbox2roi,
    bbox_cxcywh_to_xyxy,
    bbox_overlaps,
    bbox_xyxy_to_cxcywh,
    box_area,
    get_box_tensor,
    scale_boxes,
)
from toolkit.detection.models.utils.distances import bbox2distance, distance2bbox
from toolkit.detection.models.utils.misc import (
    multi_apply,
    reduce_mean,
    sigmoid_geometric_mean,
    unpack_gt_instances,
    with_settings,
)

__all__ = [
    "bbox2distance",
    "bbox2roi",
    "bbox_cxcywh_to_xyxy",
    "bbox_overlaps",
    "bbox_xyxy_to_cxcywh",
    "box_area",
    "distance2bbox",
    "get_box_tensor",
    "multi_apply",
    "reduce_mean",
    "scale_boxes",
    "sigmoid_geometric_mean",
    "unpack_gt_instances",
    "with_settings",
]
