"""Mask heads: masks of regions."""

from toolkit.detection.models.roi_heads.mask_heads.fcn_mask_head import FCNMaskHead
from toolkit.detection.models.roi_heads.mask_heads.fused_semantic_head import FusedSemanticHead
from toolkit.detection.models.roi_heads.mask_heads.htc_mask_head import HTCMaskHead
from toolkit.detection.models.roi_heads.mask_heads.maskiou_head import MaskIoUHead
from toolkit.detection.models.roi_heads.mask_heads.paste import paste_masks

__all__ = ["FCNMaskHead", "FusedSemanticHead", "HTCMaskHead", "MaskIoUHead", "paste_masks"]
