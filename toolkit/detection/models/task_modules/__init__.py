"""Parts of heads that hold no weights: assigners, samplers, box coders and prior generators."""

from toolkit.detection.models.task_modules.assigners import (
    AssignResult,
    BaseAssigner,
    BboxOverlaps2D,
    MaxIoUAssigner,
)
from toolkit.detection.models.task_modules.builder import (
    build_anchor_generator,
    build_assigner,
    build_bbox_coder,
    build_iou_calculator,
    build_prior_generator,
    build_sampler,
)
from toolkit.detection.models.task_modules.coders import BaseBBoxCoder, DeltaXYWHBBoxCoder, PseudoBBoxCoder
from toolkit.detection.models.task_modules.prior_generators import AnchorGenerator, anchor_inside_flags
from toolkit.detection.models.task_modules.samplers import (
    BaseSampler,
    PseudoSampler,
    RandomSampler,
    SamplingResult,
)

__all__ = [
    "AnchorGenerator",
    "AssignResult",
    "BaseAssigner",
    "BaseBBoxCoder",
    "BaseSampler",
    "BboxOverlaps2D",
    "DeltaXYWHBBoxCoder",
    "MaxIoUAssigner",
    "PseudoBBoxCoder",
    "PseudoSampler",
    "RandomSampler",
    "SamplingResult",
    "anchor_inside_flags",
    "build_anchor_generator",
    "build_assigner",
    "build_bbox_coder",
    "build_iou_calculator",
    "build_prior_generator",
    "build_sampler",
]
