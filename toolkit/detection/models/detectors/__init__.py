"""Detectors: whole models."""

from toolkit.detection.models.detectors.base import BaseDetector
from toolkit.detection.models.detectors.single_stage import RPN, SingleStageDetector
from toolkit.detection.models.detectors.two_stage import FasterRCNN, TwoStageDetector

__all__ = ["RPN", "BaseDetector", "FasterRCNN", "SingleStageDetector", "TwoStageDetector"]
