"""Data preprocessors: from a batch of the dataloader to what a detector takes."""

from toolkit.detection.models.data_preprocessors.batch_augments import (
    BatchFixedSizePad,
    BatchSyncRandomResize,
)
from toolkit.detection.models.data_preprocessors.data_preprocessor import DetDataPreprocessor

__all__ = ["BatchFixedSizePad", "BatchSyncRandomResize", "DetDataPreprocessor"]
