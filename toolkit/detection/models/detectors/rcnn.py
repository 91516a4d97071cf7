"""Detectors of two stages by their names."""

from __future__ import annotations

from typing import Any

from toolkit.detection.models.detectors.base import Cfg
from toolkit.detection.models.detectors.two_stage import TwoStageDetector
from toolkit.detection.registry import MODELS


@MODELS.register_module()
class FasterRCNN(TwoStageDetector):
    """Faster R-CNN (Ren et al., "Faster R-CNN: Towards Real-Time Object Detection", 2015).

    Args:
        backbone: See `TwoStageDetector`.
        rpn_head: See `TwoStageDetector`.
        roi_head: See `TwoStageDetector`.
        train_cfg: See `TwoStageDetector`.
        test_cfg: See `TwoStageDetector`.
        neck: See `TwoStageDetector`.
        data_preprocessor: See `BaseModel`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        backbone: Cfg,
        rpn_head: Cfg,
        roi_head: Cfg,
        train_cfg: Cfg | None,
        test_cfg: Cfg,
        neck: Cfg | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(backbone, neck, rpn_head, roi_head, train_cfg, test_cfg, data_preprocessor, init_cfg)


@MODELS.register_module()
class MaskRCNN(FasterRCNN):
    """Mask R-CNN (He et al., 2017): Faster R-CNN whose RoI head has a ``mask_head``.

    Arguments: `FasterRCNN`.
    """


@MODELS.register_module()
class MaskScoringRCNN(FasterRCNN):
    """Mask Scoring R-CNN (Huang et al., 2019), with a `MaskScoringRoIHead`; arguments: `FasterRCNN`."""


@MODELS.register_module()
class CascadeRCNN(TwoStageDetector):
    """Cascade R-CNN (Cai and Vasconcelos, 2017), with a `CascadeRoIHead`, and with masks where that has them.

    Arguments: `TwoStageDetector`.
    """


@MODELS.register_module()
class HybridTaskCascade(CascadeRCNN):
    """Hybrid Task Cascade (Chen et al., 2019), with a `HybridTaskCascadeRoIHead`.

    Arguments: `TwoStageDetector`.
    """

    @property
    def with_semantic(self) -> bool:
        """Whether its RoI head has a semantic head."""
        return self.roi_head.with_semantic


@MODELS.register_module()
class SparseRCNN(TwoStageDetector):
    """Sparse R-CNN (Sun et al., 2020), with an `EmbeddingRPNHead` and a `SparseRoIHead`.

    Arguments: `TwoStageDetector`.
    """


@MODELS.register_module()
class FastRCNN(TwoStageDetector):
    """Fast R-CNN (Girshick, 2015): the proposals come with the data samples.

    Args:
        backbone: See `TwoStageDetector`.
        roi_head: See `TwoStageDetector`.
        train_cfg: See `TwoStageDetector`.
        test_cfg: See `TwoStageDetector`.
        neck: See `TwoStageDetector`.
        data_preprocessor: See `BaseModel`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        backbone: Cfg,
        roi_head: Cfg,
        train_cfg: Cfg | None,
        test_cfg: Cfg,
        neck: Cfg | None = None,
        data_preprocessor: Any = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(backbone, neck, None, roi_head, train_cfg, test_cfg, data_preprocessor, init_cfg)
