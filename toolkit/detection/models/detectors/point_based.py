"""One-stage detectors without anchors, each a `SingleStageDetector` with a head of its own."""

from __future__ import annotations

from typing import Any

from toolkit.detection.models.detectors.single_stage import SingleStageDetector
from toolkit.detection.registry import MODELS
from toolkit.dist import get_world_size
from toolkit.model import convert_sync_batchnorm


@MODELS.register_module()
class FCOS(SingleStageDetector):
    """FCOS (Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", 2019)."""


@MODELS.register_module()
class FOVEA(SingleStageDetector):
    """FoveaBox (Kong et al., "FoveaBox: Beyond Anchor-based Object Detector", 2019)."""


@MODELS.register_module()
class RepPointsDetector(SingleStageDetector):
    """RepPoints (Yang et al., "RepPoints: Point Set Representation for Object Detection", 2019)."""


@MODELS.register_module()
class YOLOX(SingleStageDetector):
    """YOLOX (Ge et al., "YOLOX: Exceeding YOLO Series in 2021")."""


@MODELS.register_module()
class RTMDet(SingleStageDetector):
    """RTMDet (Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors", 2022).

    Args:
        *args: Those of `SingleStageDetector`.
        use_syncbn: In a run of several processes, synchronise all batch norms.
        **kwargs: Those of `SingleStageDetector`.
    """

    def __init__(self, *args: Any, use_syncbn: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if use_syncbn and get_world_size() > 1:
            convert_sync_batchnorm(self)
