"""Transforms that belong to no task, and the operations on images that tasks build theirs from."""

from toolkit.transforms.base import BaseTransform
from toolkit.transforms.loading import LoadImageFromFile, read_image
from toolkit.transforms.random_size import RandomChoiceResize, RandomResize
from toolkit.transforms.wrappers import KeyMapper, RandomApply, RandomChoice, TransformBroadcaster

__all__ = [
    "BaseTransform",
    "KeyMapper",
    "LoadImageFromFile",
    "RandomApply",
    "RandomChoice",
    "RandomChoiceResize",
    "RandomResize",
    "TransformBroadcaster",
    "read_image",
]
