"""Dense heads: they predict at every place of the feature maps."""

from toolkit.detection.models.dense_heads.anchor_free_head import AnchorFreeHead
from toolkit.detection.models.dense_heads.anchor_head import AnchorHead
from toolkit.detection.models.dense_heads.anchor_targets import AnchorTargets
from toolkit.detection.models.dense_heads.atss_head import ATSSHead
from toolkit.detection.models.dense_heads.base_dense_head import BaseDenseHead
from toolkit.detection.models.dense_heads.conditional_detr_head import ConditionalDETRHead
from toolkit.detection.models.dense_heads.dab_detr_head import DABDETRHead
from toolkit.detection.models.dense_heads.ddq_detr_head import DDQDETRHead
from toolkit.detection.models.dense_heads.deformable_detr_head import DeformableDETRHead
from toolkit.detection.models.dense_heads.detr_head import DETRHead
from toolkit.detection.models.dense_heads.dino_head import DINOHead
from toolkit.detection.models.dense_heads.embedding_rpn_head import EmbeddingRPNHead
from toolkit.detection.models.dense_heads.fcos_head import FCOSHead
from toolkit.detection.models.dense_heads.fovea_head import FeatureAlign, FoveaHead
from toolkit.detection.models.dense_heads.free_anchor_retina_head import FreeAnchorRetinaHead
from toolkit.detection.models.dense_heads.gfl_head import GFLHead, Integral
from toolkit.detection.models.dense_heads.reppoints_head import RepPointsHead
from toolkit.detection.models.dense_heads.retina_head import RetinaHead, RetinaSepBNHead
from toolkit.detection.models.dense_heads.rpn_head import RPNHead
from toolkit.detection.models.dense_heads.rtmdet_head import RTMDetHead, RTMDetSepBNHead
from toolkit.detection.models.dense_heads.rtmdet_ins_head import RTMDetInsHead, RTMDetInsSepBNHead
from toolkit.detection.models.dense_heads.ssd_head import SSDHead
from toolkit.detection.models.dense_heads.tood_head import TOODHead
from toolkit.detection.models.dense_heads.torchvision_fcos_head import TorchvisionFCOSHead
from toolkit.detection.models.dense_heads.vfnet_head import VFNetHead
from toolkit.detection.models.dense_heads.yolo_head import YOLOV3Head
from toolkit.detection.models.dense_heads.yolof_head import YOLOFHead
from toolkit.detection.models.dense_heads.yolox_head import YOLOXHead

__all__ = [
    "ATSSHead",
    "AnchorFreeHead",
    "AnchorHead",
    "AnchorTargets",
    "BaseDenseHead",
    "ConditionalDETRHead",
    "DABDETRHead",
    "DDQDETRHead",
    "DETRHead",
    "DINOHead",
    "DeformableDETRHead",
    "EmbeddingRPNHead",
    "FCOSHead",
    "FeatureAlign",
    "FoveaHead",
    "FreeAnchorRetinaHead",
    "GFLHead",
    "Integral",
    "RPNHead",
    "RTMDetHead",
    "RTMDetInsHead",
    "RTMDetInsSepBNHead",
    "RTMDetSepBNHead",
    "RepPointsHead",
    "RetinaHead",
    "RetinaSepBNHead",
    "SSDHead",
    "TOODHead",
    "TorchvisionFCOSHead",
    "VFNetHead",
    "YOLOFHead",
    "YOLOV3Head",
    "YOLOXHead",
]
