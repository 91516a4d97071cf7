"""Transforms of labelled images. They change `img` alone: what a label says doesn't move with the pixels."""

from toolkit.classification.transforms.color import ColorJitter, RandomGrayscale
from toolkit.classification.transforms.crop import CenterCrop, RandomCrop, RandomResizedCrop
from toolkit.classification.transforms.erasing import RandomErasing
from toolkit.classification.transforms.formatting import PackInputs
from toolkit.classification.transforms.geometric import RandomFlip, Resize, ResizeEdge

__all__ = [
    "CenterCrop",
    "ColorJitter",
    "PackInputs",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomResizedCrop",
    "Resize",
    "ResizeEdge",
]
