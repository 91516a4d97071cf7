"""Transforms of labelled images. They change `img` alone: what a label says doesn't move with the pixels."""

from toolkit.classification.transforms.color import ColorJitter
from toolkit.classification.transforms.crop import RandomCrop, RandomResizedCrop
from toolkit.classification.transforms.erasing import RandomErasing
from toolkit.classification.transforms.formatting import PackInputs
from toolkit.classification.transforms.geometric import RandomFlip, Resize, ResizeEdge
from toolkit.transforms import CenterCrop, Normalize, Pad, RandomGrayscale

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "Normalize",
    "PackInputs",
    "Pad",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomResizedCrop",
    "Resize",
    "ResizeEdge",
]
