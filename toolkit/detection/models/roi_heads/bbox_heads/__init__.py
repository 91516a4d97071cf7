"""Box heads: classes and boxes of regions."""

from toolkit.detection.models.roi_heads.bbox_heads.bbox_head import BBoxHead
from toolkit.detection.models.roi_heads.bbox_heads.convfc_bbox_head import (
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)

__all__ = ["BBoxHead", "ConvFCBBoxHead", "Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead"]
