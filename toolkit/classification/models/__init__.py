"""Classifiers and their parts, under MMPretrain's names and with its state-dict keys."""

from toolkit.classification.models.backbones import ResNet, ResNet_CIFAR
from toolkit.classification.models.batch_augments import CutMix, Mixup, RandomBatchAugment
from toolkit.classification.models.classifier import ImageClassifier
from toolkit.classification.models.data_preprocessor import ClsDataPreprocessor
from toolkit.classification.models.heads import ClsHead, LinearClsHead
from toolkit.classification.models.losses import CrossEntropyLoss, LabelSmoothLoss
from toolkit.model.cnn import GlobalAveragePooling

__all__ = [
    "ClsDataPreprocessor",
    "ClsHead",
    "CrossEntropyLoss",
    "CutMix",
    "GlobalAveragePooling",
    "ImageClassifier",
    "LabelSmoothLoss",
    "LinearClsHead",
    "Mixup",
    "RandomBatchAugment",
    "ResNet",
    "ResNet_CIFAR",
]
