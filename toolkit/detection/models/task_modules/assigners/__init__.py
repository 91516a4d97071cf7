"""Assigners: which ground truth a prior stands for."""

from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.task_modules.assigners.iou2d_calculator import BboxOverlaps2D
from toolkit.detection.models.task_modules.assigners.max_iou_assigner import MaxIoUAssigner

__all__ = ["AssignResult", "BaseAssigner", "BboxOverlaps2D", "MaxIoUAssigner"]
