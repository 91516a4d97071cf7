"""Losses of detectors."""

from toolkit.detection.models.losses.accuracy import Accuracy, accuracy
from toolkit.detection.models.losses.balanced_l1_loss import BalancedL1Loss, balanced_l1_loss
from toolkit.detection.models.losses.cross_entropy_loss import (
    CrossEntropyLoss,
    binary_cross_entropy,
    cross_entropy,
    mask_cross_entropy,
)
from toolkit.detection.models.losses.ddq_detr_aux_loss import DDQAuxLoss
from toolkit.detection.models.losses.dice_loss import DiceLoss, dice_loss
from toolkit.detection.models.losses.focal_loss import FocalLoss, sigmoid_focal_loss
from toolkit.detection.models.losses.gfocal_loss import (
    DistributionFocalLoss,
    QualityFocalLoss,
    distribution_focal_loss,
    quality_focal_loss,
)
from toolkit.detection.models.losses.ghm_loss import GHMC, GHMR
from toolkit.detection.models.losses.iou_loss import (
    BoundedIoULoss,
    BoxIoULoss,
    CIoULoss,
    DIoULoss,
    EIoULoss,
    GIoULoss,
    IoULoss,
    SIoULoss,
    bounded_iou_loss,
    ciou_loss,
    diou_loss,
    eiou_loss,
    giou_loss,
    iou_loss,
    siou_loss,
)
from toolkit.detection.models.losses.many_classes import CrossEntropyCustomLoss, FocalCustomLoss
from toolkit.detection.models.losses.mse_loss import MSELoss, mse_loss
from toolkit.detection.models.losses.seesaw_loss import SeesawLoss
from toolkit.detection.models.losses.smooth_l1_loss import L1Loss, SmoothL1Loss, l1_loss, smooth_l1_loss
from toolkit.detection.models.losses.utils import weight_reduce_loss, weighted_loss
from toolkit.detection.models.losses.varifocal_loss import VarifocalLoss, varifocal_loss

__all__ = [
    "GHMC",
    "GHMR",
    "Accuracy",
    "BalancedL1Loss",
    "BoundedIoULoss",
    "BoxIoULoss",
    "CIoULoss",
    "CrossEntropyCustomLoss",
    "CrossEntropyLoss",
    "DDQAuxLoss",
    "DIoULoss",
    "DiceLoss",
    "DistributionFocalLoss",
    "EIoULoss",
    "FocalCustomLoss",
    "FocalLoss",
    "GIoULoss",
    "IoULoss",
    "L1Loss",
    "MSELoss",
    "QualityFocalLoss",
    "SIoULoss",
    "SeesawLoss",
    "SmoothL1Loss",
    "VarifocalLoss",
    "accuracy",
    "balanced_l1_loss",
    "binary_cross_entropy",
    "bounded_iou_loss",
    "ciou_loss",
    "cross_entropy",
    "dice_loss",
    "diou_loss",
    "distribution_focal_loss",
    "eiou_loss",
    "giou_loss",
    "iou_loss",
    "l1_loss",
    "mask_cross_entropy",
    "mse_loss",
    "quality_focal_loss",
    "sigmoid_focal_loss",
    "siou_loss",
    "smooth_l1_loss",
    "varifocal_loss",
    "weight_reduce_loss",
    "weighted_loss",
]
