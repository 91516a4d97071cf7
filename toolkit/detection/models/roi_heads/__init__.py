"""RoI heads: the second stage of two-stage detectors."""

from toolkit.detection.models.roi_heads.base_roi_head import BaseRoIHead
from toolkit.detection.models.roi_heads.bbox_heads import (
    BBoxHead,
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)
from toolkit.detection.models.roi_heads.roi_extractors import BaseRoIExtractor, SingleRoIExtractor
from toolkit.detection.models.roi_heads.standard_roi_head import StandardRoIHead

__all__ = [
    "BBoxHead",
    "BaseRoIExtractor",
    "BaseRoIHead",
    "ConvFCBBoxHead",
    "Shared2FCBBoxHead",
    "Shared4Conv1FCBBoxHead",
    "SingleRoIExtractor",
    "StandardRoIHead",
]
