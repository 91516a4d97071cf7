"""Operations that heads share."""

from toolkit.detection.models.layers.deform_roi_pool import (
    DeformRoIPool,
    DeformRoIPoolPack,
    ModulatedDeformRoIPoolPack,
    deform_roi_pool,
)
from toolkit.detection.models.layers.dynamic_conv import DynamicConv
from toolkit.detection.models.layers.nms import batched_nms, multiclass_nms, nms
from toolkit.detection.models.layers.normed_predictor import NormedConv2d, NormedLinear
from toolkit.detection.models.layers.positional_encoding import (
    LearnedPositionalEncoding,
    SinePositionalEncoding,
    SinePositionalEncoding3D,
)
from toolkit.detection.models.layers.roi_align import RoIAlign, RoIPool, runs_on_cpu
from toolkit.detection.models.layers.roi_align_cpu import roi_align_cpu
from toolkit.detection.models.layers.soft_nms import soft_nms

__all__ = [
    "DeformRoIPool",
    "DeformRoIPoolPack",
    "DynamicConv",
    "LearnedPositionalEncoding",
    "ModulatedDeformRoIPoolPack",
    "NormedConv2d",
    "NormedLinear",
    "RoIAlign",
    "RoIPool",
    "SinePositionalEncoding",
    "SinePositionalEncoding3D",
    "batched_nms",
    "deform_roi_pool",
    "multiclass_nms",
    "nms",
    "roi_align_cpu",
    "runs_on_cpu",
    "soft_nms",
]
