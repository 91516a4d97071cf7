"""Detection datasets and the samplers made for them."""

from toolkit.detection.datasets.base import BaseDetDataset
from toolkit.detection.datasets.coco import CocoDataset
from toolkit.detection.datasets.samplers import AspectRatioBatchSampler
from toolkit.detection.datasets.shapes import ShapesDataset
from toolkit.detection.datasets.voc import VOCDataset
from toolkit.detection.datasets.xml_style import XMLDataset

__all__ = [
    "AspectRatioBatchSampler",
    "BaseDetDataset",
    "CocoDataset",
    "ShapesDataset",
    "VOCDataset",
    "XMLDataset",
]
