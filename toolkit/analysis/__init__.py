"""What a model costs: parameters, multiply-adds, FLOPs and activations."""

from toolkit.analysis.complexity import (
    Complexity,
    get_model_complexity_info,
    measure_complexity,
    parameter_count,
    parameter_count_table,
)

__all__ = [
    "Complexity",
    "get_model_complexity_info",
    "measure_complexity",
    "parameter_count",
    "parameter_count_table",
]
