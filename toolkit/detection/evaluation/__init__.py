"""Metrics of detection."""

from toolkit.detection.evaluation.cityscapes_metric import CityScapesMetric
from toolkit.detection.evaluation.coco_metric import CocoMetric
from toolkit.detection.evaluation.dumps import DumpDetResults, DumpProposals
from toolkit.detection.evaluation.error_analysis import confusion_matrix, precision_recall, tide_errors
from toolkit.detection.evaluation.error_metrics import (
    DetConfusionMatrix,
    PrecisionRecallMetric,
    TIDEMetric,
)
from toolkit.detection.evaluation.lvis_metric import LVISMetric
from toolkit.detection.evaluation.mean_ap import average_precision, eval_map
from toolkit.detection.evaluation.openimages_metric import OpenImagesMetric
from toolkit.detection.evaluation.recall import eval_recalls
from toolkit.detection.evaluation.voc_metric import VOCMetric

__all__ = [
    "CityScapesMetric",
    "CocoMetric",
    "DetConfusionMatrix",
    "DumpDetResults",
    "DumpProposals",
    "LVISMetric",
    "OpenImagesMetric",
    "PrecisionRecallMetric",
    "TIDEMetric",
    "VOCMetric",
    "average_precision",
    "confusion_matrix",
    "eval_map",
    "eval_recalls",
    "precision_recall",
    "tide_errors",
]
