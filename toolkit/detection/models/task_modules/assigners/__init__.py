"""Assigners: which ground truth a prior stands for."""

from toolkit.detection.models.task_modules.assigners.atss_assigner import ATSSAssigner
from toolkit.detection.models.task_modules.assigners.base import AssignResult, BaseAssigner
from toolkit.detection.models.task_modules.assigners.dynamic_k import DynamicKAssigner, dynamic_k_matching
from toolkit.detection.models.task_modules.assigners.dynamic_soft_label_assigner import (
    DynamicSoftLabelAssigner,
)
from toolkit.detection.models.task_modules.assigners.grid_assigner import GridAssigner
from toolkit.detection.models.task_modules.assigners.hungarian_assigner import HungarianAssigner, Matches
from toolkit.detection.models.task_modules.assigners.iou2d_calculator import BboxOverlaps2D
from toolkit.detection.models.task_modules.assigners.match_cost import (
    BaseMatchCost,
    BBoxL1Cost,
    BinaryFocalLossCost,
    ClassificationCost,
    CrossEntropyLossCost,
    DiceCost,
    FocalLossCost,
    IoUCost,
)
from toolkit.detection.models.task_modules.assigners.max_iou_assigner import MaxIoUAssigner
from toolkit.detection.models.task_modules.assigners.point_assigner import PointAssigner
from toolkit.detection.models.task_modules.assigners.sim_ota_assigner import SimOTAAssigner
from toolkit.detection.models.task_modules.assigners.task_aligned_assigner import TaskAlignedAssigner
from toolkit.detection.models.task_modules.assigners.topk_hungarian_assigner import TopkHungarianAssigner
from toolkit.detection.models.task_modules.assigners.uniform_assigner import UniformAssigner

__all__ = [
    "ATSSAssigner",
    "AssignResult",
    "BBoxL1Cost",
    "BaseAssigner",
    "BaseMatchCost",
    "BboxOverlaps2D",
    "BinaryFocalLossCost",
    "ClassificationCost",
    "CrossEntropyLossCost",
    "DiceCost",
    "DynamicKAssigner",
    "DynamicSoftLabelAssigner",
    "FocalLossCost",
    "GridAssigner",
    "HungarianAssigner",
    "IoUCost",
    "Matches",
    "MaxIoUAssigner",
    "PointAssigner",
    "SimOTAAssigner",
    "TaskAlignedAssigner",
    "TopkHungarianAssigner",
    "UniformAssigner",
    "dynamic_k_matching",
]
