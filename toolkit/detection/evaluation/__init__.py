"""Metrics of detection."""

from toolkit.detection.evaluation.coco_metric import CocoMetric
from toolkit.detection.evaluation.mean_ap import average_precision, eval_map
from toolkit.detection.evaluation.recall import eval_recalls
from toolkit.detection.evaluation.voc_metric import VOCMetric

__all__ = ["CocoMetric", "VOCMetric", "average_precision", "eval_map", "eval_recalls"]
