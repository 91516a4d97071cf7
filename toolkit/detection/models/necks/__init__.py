"""Necks: between backbone and heads."""

from toolkit.detection.models.necks.fpn import FPN

__all__ = ["FPN"]
