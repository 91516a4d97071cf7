"""Layers between the pooling of regions and the heads."""

from toolkit.detection.models.roi_heads.shared_heads.res_layer import ResLayer

__all__ = ["ResLayer"]
