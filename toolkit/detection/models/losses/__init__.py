"""Losses of detectors."""

from toolkit.detection.models.losses.accuracy import Accuracy, accuracy
from toolkit.detection.models.losses.cross_entropy_loss import (
    CrossEntropyLoss,
    binary_cross_entropy,
    cross_entropy,
    mask_cross_entropy,
)
from toolkit.detection.models.losses.smooth_l1_loss import L1Loss, SmoothL1Loss, l1_loss, smooth_l1_loss
from toolkit.detection.models.losses.utils import weight_reduce_loss, weighted_loss

__all__ = [
    "Accuracy",
    "CrossEntropyLoss",
    "L1Loss",
    "SmoothL1Loss",
    "accuracy",
    "binary_cross_entropy",
    "cross_entropy",
    "l1_loss",
    "mask_cross_entropy",
    "smooth_l1_loss",
    "weight_reduce_loss",
    "weighted_loss",
]
