"""Transforms that belong to no task, and the operations on images that tasks build theirs from."""

from toolkit.transforms.base import BaseTransform
from toolkit.transforms.center_crop import CenterCrop
from toolkit.transforms.color import Normalize, RandomGrayscale
from toolkit.transforms.formatting import ImageToTensor, ToTensor, Transpose, WrapFieldsToLists, to_tensor
from toolkit.transforms.loading import LoadImageFromFile, read_image
from toolkit.transforms.padding import Pad
from toolkit.transforms.random_size import RandomChoiceResize, RandomResize
from toolkit.transforms.tta import MultiScaleFlipAug, TestTimeAug
from toolkit.transforms.wrappers import (
    KeyMapper,
    RandomApply,
    RandomChoice,
    SharedDraws,
    TransformBroadcaster,
)

__all__ = [
    "BaseTransform",
    "CenterCrop",
    "ImageToTensor",
    "KeyMapper",
    "LoadImageFromFile",
    "MultiScaleFlipAug",
    "Normalize",
    "Pad",
    "RandomApply",
    "RandomChoice",
    "RandomChoiceResize",
    "RandomGrayscale",
    "RandomResize",
    "SharedDraws",
    "TestTimeAug",
    "ToTensor",
    "TransformBroadcaster",
    "Transpose",
    "WrapFieldsToLists",
    "read_image",
    "to_tensor",
]
