"""The RoI head of Double-Head R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from toolkit.detection.models.roi_heads.standard_roi_head import StandardRoIHead
from toolkit.detection.registry import MODELS


@MODELS.register_module()
class DoubleHeadRoIHead(StandardRoIHead):
    """Regresses from larger regions than it classifies (Wu et al., "Rethinking Classification and
    Localization for Object Detection", 2019).

    Args:
        reg_roi_scale_factor: How much longer the regions are that boxes are regressed from.
        **kwargs: Those of `StandardRoIHead`.
    """

    def __init__(self, reg_roi_scale_factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reg_roi_scale_factor = reg_roi_scale_factor

    def _bbox_forward(self, x: Sequence[Tensor], rois: Tensor) -> dict[str, Any]:
        maps = x[: self.bbox_roi_extractor.num_inputs]
        cls_feats = self.bbox_roi_extractor(maps, rois)
        reg_feats = self.bbox_roi_extractor(maps, rois, roi_scale_factor=self.reg_roi_scale_factor)
        if self.with_shared_head:
            cls_feats, reg_feats = self.shared_head(cls_feats), self.shared_head(reg_feats)
        cls_score, bbox_pred = self.bbox_head(cls_feats, reg_feats)
        return {"cls_score": cls_score, "bbox_pred": bbox_pred, "bbox_feats": cls_feats}
