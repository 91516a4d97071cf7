"""Box coders: from boxes to regression targets and back."""

from toolkit.detection.models.task_modules.coders.base import BaseBBoxCoder
from toolkit.detection.models.task_modules.coders.delta_xywh_bbox_coder import (
    DeltaXYWHBBoxCoder,
    LegacyDeltaXYWHBBoxCoder,
    bbox2delta,
    delta2bbox,
)
from toolkit.detection.models.task_modules.coders.distance_point_bbox_coder import DistancePointBBoxCoder
from toolkit.detection.models.task_modules.coders.pseudo_bbox_coder import PseudoBBoxCoder
from toolkit.detection.models.task_modules.coders.yolo_bbox_coder import YOLOBBoxCoder

__all__ = [
    "BaseBBoxCoder",
    "DeltaXYWHBBoxCoder",
    "DistancePointBBoxCoder",
    "LegacyDeltaXYWHBBoxCoder",
    "PseudoBBoxCoder",
    "YOLOBBoxCoder",
    "bbox2delta",
    "delta2bbox",
]
