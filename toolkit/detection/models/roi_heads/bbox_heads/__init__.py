"""Box heads: classes and boxes of regions."""

from toolkit.detection.models.roi_heads.bbox_heads.bbox_head import BBoxHead
from toolkit.detection.models.roi_heads.bbox_heads.convfc_bbox_head import (
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)
from toolkit.detection.models.roi_heads.bbox_heads.dii_head import DIIHead
from toolkit.detection.models.roi_heads.bbox_heads.double_bbox_head import DoubleConvFCBBoxHead

__all__ = [
    "BBoxHead",
    "ConvFCBBoxHead",
    "DIIHead",
    "DoubleConvFCBBoxHead",
    "Shared2FCBBoxHead",
    "Shared4Conv1FCBBoxHead",
]
