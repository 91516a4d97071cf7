"""Inference: a checkpoint and images in, predictions and pictures out."""

from toolkit.infer.base import BaseInferencer
from toolkit.infer.choice import inferencer_from
from toolkit.infer.classification import ClassificationInferencer
from toolkit.infer.detection import DetInferencer
from toolkit.infer.detector import inference_detector, init_detector
from toolkit.infer.images import ImageInferencer
from toolkit.infer.inputs import find_images
from toolkit.infer.load import load_model
from toolkit.infer.output import infer_to_folder

__all__ = [
    "BaseInferencer",
    "ClassificationInferencer",
    "DetInferencer",
    "ImageInferencer",
    "find_images",
    "infer_to_folder",
    "inference_detector",
    "inferencer_from",
    "init_detector",
    "load_model",
]
