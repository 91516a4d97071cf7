"""Detectors: whole models."""

from toolkit.detection.models.detectors.anchor_based import ATSS, GFL, TOOD, YOLOF, YOLOV3, RetinaNet, VFNet
from toolkit.detection.models.detectors.base import BaseDetector
from toolkit.detection.models.detectors.conditional_detr import ConditionalDETR
from toolkit.detection.models.detectors.dab_detr import DABDETR
from toolkit.detection.models.detectors.ddq_detr import DDQDETR
from toolkit.detection.models.detectors.deformable_detr import DeformableDETR
from toolkit.detection.models.detectors.detection_transformer import DetectionTransformer
from toolkit.detection.models.detectors.detr import DETR
from toolkit.detection.models.detectors.dino import DINO
from toolkit.detection.models.detectors.point_based import FCOS, FOVEA, YOLOX, RepPointsDetector, RTMDet
from toolkit.detection.models.detectors.rcnn import (
    CascadeRCNN,
    FasterRCNN,
    FastRCNN,
    HybridTaskCascade,
    MaskRCNN,
    MaskScoringRCNN,
    SparseRCNN,
)
from toolkit.detection.models.detectors.single_stage import RPN, SingleStageDetector
from toolkit.detection.models.detectors.two_stage import TwoStageDetector

__all__ = [
    "ATSS",
    "DABDETR",
    "DDQDETR",
    "DETR",
    "DINO",
    "FCOS",
    "FOVEA",
    "GFL",
    "RPN",
    "TOOD",
    "YOLOF",
    "YOLOV3",
    "YOLOX",
    "BaseDetector",
    "CascadeRCNN",
    "ConditionalDETR",
    "DeformableDETR",
    "DetectionTransformer",
    "FastRCNN",
    "FasterRCNN",
    "HybridTaskCascade",
    "MaskRCNN",
    "MaskScoringRCNN",
    "RTMDet",
    "RepPointsDetector",
    "RetinaNet",
    "SingleStageDetector",
    "SparseRCNN",
    "TwoStageDetector",
    "VFNet",
]
