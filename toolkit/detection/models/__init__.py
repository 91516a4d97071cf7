"""Detectors and their parts. Importing this registers all of them."""

from toolkit.detection.models import (
    backbones,
    data_preprocessors,
    dense_heads,
    detectors,
    layers,
    losses,
    necks,
    roi_heads,
    task_modules,
    test_time_augs,
)

__all__ = [
    "backbones",
    "data_preprocessors",
    "dense_heads",
    "detectors",
    "layers",
    "losses",
    "necks",
    "roi_heads",
    "task_modules",
    "test_time_augs",
]
