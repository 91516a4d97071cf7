"""Inference: a checkpoint and images in, predictions and pictures out."""

from toolkit.infer.base import BaseInferencer
from toolkit.infer.classification import ClassificationInferencer
from toolkit.infer.detection import DetInferencer
from toolkit.infer.inputs import find_images
from toolkit.infer.load import inferencer_from
from toolkit.infer.output import infer_to_folder

__all__ = [
    "BaseInferencer",
    "ClassificationInferencer",
    "DetInferencer",
    "find_images",
    "infer_to_folder",
    "inferencer_from",
]
