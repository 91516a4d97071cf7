"""Detectors and their parts. Importing this registers all of them."""

from toolkit.detection.models import (
    data_preprocessors,
    dense_heads,
    detectors,
    layers,
    losses,
    necks,
    roi_heads,
    task_modules,
)

__all__ = [
    "data_preprocessors",
    "dense_heads",
    "detectors",
    "layers",
    "losses",
    "necks",
    "roi_heads",
    "task_modules",
]
