"""What a model costs: parameters, multiply-adds, FLOPs and activations."""

from toolkit.analysis.analyzers import ActivationAnalyzer, FlopAnalyzer, activation_count, flop_count
from toolkit.analysis.complexity import (
    Complexity,
    get_model_complexity_info,
    measure_complexity,
    parameter_count,
    parameter_count_table,
)

__all__ = [
    "ActivationAnalyzer",
    "Complexity",
    "FlopAnalyzer",
    "activation_count",
    "flop_count",
    "get_model_complexity_info",
    "measure_complexity",
    "parameter_count",
    "parameter_count_table",
]
