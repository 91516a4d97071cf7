"""Evaluation: metrics, and the evaluator that drives several of them."""

from toolkit.evaluator.base_metric import BaseMetric
from toolkit.evaluator.dump_results import DumpResults
from toolkit.evaluator.evaluator import Evaluator, get_metric_value
from toolkit.evaluator.torch_metric import TorchMetric

__all__ = ["BaseMetric", "DumpResults", "Evaluator", "TorchMetric", "get_metric_value"]
