"""Dense heads: they predict at every place of the feature maps."""

from toolkit.detection.models.dense_heads.anchor_head import AnchorHead, AnchorTargets
from toolkit.detection.models.dense_heads.base_dense_head import BaseDenseHead
from toolkit.detection.models.dense_heads.rpn_head import RPNHead

__all__ = ["AnchorHead", "AnchorTargets", "BaseDenseHead", "RPNHead"]
