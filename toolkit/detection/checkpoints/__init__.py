"""Checkpoints of other libraries, under the keys of ours."""

from toolkit.detection.checkpoints.convert import convert_checkpoint
from toolkit.detection.checkpoints.torchvision import Converted, from_torchvision

__all__ = ["Converted", "convert_checkpoint", "from_torchvision"]
