"""One-stage detectors with anchors, each a `SingleStageDetector` with a head of its own."""

from __future__ import annotations

from toolkit.detection.models.detectors.single_stage import SingleStageDetector
from toolkit.detection.registry import MODELS


@MODELS.register_module()
class RetinaNet(SingleStageDetector):
    """RetinaNet (Lin et al., "Focal Loss for Dense Object Detection", 2017)."""


@MODELS.register_module()
class ATSS(SingleStageDetector):
    """ATSS (Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free Detection", 2019)."""


@MODELS.register_module()
class GFL(SingleStageDetector):
    """Generalized focal loss (Li et al., "Generalized Focal Loss", 2020)."""


@MODELS.register_module()
class VFNet(SingleStageDetector):
    """VarifocalNet (Zhang et al., "VarifocalNet: An IoU-aware Dense Object Detector", 2020)."""


@MODELS.register_module()
class TOOD(SingleStageDetector):
    """TOOD (Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021)."""


@MODELS.register_module()
class YOLOV3(SingleStageDetector):
    """YOLOv3 (Redmon and Farhadi, "YOLOv3: An Incremental Improvement", 2018)."""


@MODELS.register_module()
class YOLOF(SingleStageDetector):
    """YOLOF (Chen et al., "You Only Look One-level Feature", 2021)."""
