"""Box coders: from boxes to regression targets and back."""

from toolkit.detection.models.task_modules.coders.base import BaseBBoxCoder
from toolkit.detection.models.task_modules.coders.delta_xywh_bbox_coder import (
    DeltaXYWHBBoxCoder,
    bbox2delta,
    delta2bbox,
)
from toolkit.detection.models.task_modules.coders.pseudo_bbox_coder import PseudoBBoxCoder

__all__ = ["BaseBBoxCoder", "DeltaXYWHBBoxCoder", "PseudoBBoxCoder", "bbox2delta", "delta2bbox"]
