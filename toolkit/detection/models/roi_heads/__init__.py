"""RoI heads: the second stage of two-stage detectors."""

from toolkit.detection.models.roi_heads.base_roi_head import BaseRoIHead
from toolkit.detection.models.roi_heads.bbox_heads import (
    BBoxHead,
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)
from toolkit.detection.models.roi_heads.cascade_roi_head import CascadeRoIHead
from toolkit.detection.models.roi_heads.double_roi_head import DoubleHeadRoIHead
from toolkit.detection.models.roi_heads.dynamic_roi_head import DynamicRoIHead
from toolkit.detection.models.roi_heads.htc_roi_head import HybridTaskCascadeRoIHead
from toolkit.detection.models.roi_heads.mask_heads import FCNMaskHead
from toolkit.detection.models.roi_heads.mask_scoring_roi_head import MaskScoringRoIHead
from toolkit.detection.models.roi_heads.roi_extractors import BaseRoIExtractor, SingleRoIExtractor
from toolkit.detection.models.roi_heads.shared_heads import ResLayer
from toolkit.detection.models.roi_heads.sparse_roi_head import SparseRoIHead
from toolkit.detection.models.roi_heads.standard_roi_head import StandardRoIHead

__all__ = [
    "BBoxHead",
    "BaseRoIExtractor",
    "BaseRoIHead",
    "CascadeRoIHead",
    "ConvFCBBoxHead",
    "DoubleHeadRoIHead",
    "DynamicRoIHead",
    "FCNMaskHead",
    "HybridTaskCascadeRoIHead",
    "MaskScoringRoIHead",
    "ResLayer",
    "Shared2FCBBoxHead",
    "Shared4Conv1FCBBoxHead",
    "SingleRoIExtractor",
    "SparseRoIHead",
    "StandardRoIHead",
]
