"""Prior generators: anchors and points."""

from toolkit.detection.models.task_modules.prior_generators.anchor_generator import (
    AnchorGenerator,
    anchor_inside_flags,
)
from toolkit.detection.models.task_modules.prior_generators.base import GridPriors
from toolkit.detection.models.task_modules.prior_generators.point_generator import MlvlPointGenerator
from toolkit.detection.models.task_modules.prior_generators.ssd_anchor_generator import (
    LegacyAnchorGenerator,
    LegacySSDAnchorGenerator,
    SSDAnchorGenerator,
)
from toolkit.detection.models.task_modules.prior_generators.torchvision_priors import (
    TorchvisionAnchorGenerator,
    TorchvisionPointGenerator,
)
from toolkit.detection.models.task_modules.prior_generators.yolo_anchor_generator import YOLOAnchorGenerator

__all__ = [
    "AnchorGenerator",
    "GridPriors",
    "LegacyAnchorGenerator",
    "LegacySSDAnchorGenerator",
    "MlvlPointGenerator",
    "SSDAnchorGenerator",
    "TorchvisionAnchorGenerator",
    "TorchvisionPointGenerator",
    "YOLOAnchorGenerator",
    "anchor_inside_flags",
]
