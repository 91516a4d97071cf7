"""Datasets of labelled images."""

from toolkit.classification.datasets.base import BaseClsDataset
from toolkit.classification.datasets.custom import CustomDataset
from toolkit.classification.datasets.shapes import ShapesClassification

__all__ = ["BaseClsDataset", "CustomDataset", "ShapesClassification"]
