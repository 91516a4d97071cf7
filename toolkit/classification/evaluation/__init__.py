"""Metrics of classification."""

from toolkit.classification.evaluation.multi_class import Accuracy, ConfusionMatrix
from toolkit.classification.evaluation.single_label import SingleLabelMetric

__all__ = ["Accuracy", "ConfusionMatrix", "SingleLabelMetric"]
