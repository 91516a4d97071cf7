"""Containers in which parts meet: annotations, predictions and facts about a sample."""

from toolkit.structures.base_data_element import BaseDataElement
from toolkit.structures.instance_data import InstanceData
from toolkit.structures.label_data import LabelData
from toolkit.structures.pixel_data import PixelData

__all__ = ["BaseDataElement", "InstanceData", "LabelData", "PixelData"]
