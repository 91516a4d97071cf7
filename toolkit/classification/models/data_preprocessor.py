"""From a batch of images and labels to what a classifier takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.classification.models.batch_augments import RandomBatchAugment
from toolkit.classification.registry import MODELS
from toolkit.classification.structures import DataSample
from toolkit.model import ImgDataPreprocessor
from toolkit.utils.errors import ConfigError, DataError


@MODELS.register_module()
class ClsDataPreprocessor(ImgDataPreprocessor):
    """Images to one normalised batch, on the device; in training, batch augmentations.

    Args:
        mean: Subtracted from each channel, in the order of the output's channels.
        std: Divided by, likewise.
        pad_size_divisor: Height and width are padded to a multiple of it.
        pad_value: What the padding holds.
        to_rgb: Reverse the order of the channels.
        to_onehot: Give each sample `gt_score`, its label as a one-hot vector. Batch augmentations make it
            themselves.
        num_classes: Number of classes; needed for `to_onehot` and batch augmentations.
        batch_augments: `dict(augments=[...], probs=[...])`, see `RandomBatchAugment`.
        non_blocking: See `BaseDataPreprocessor`.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        pad_size_divisor: int = 1,
        pad_value: float = 0,
        to_rgb: bool = False,
        to_onehot: bool = False,
        num_classes: int | None = None,
        batch_augments: Mapping[str, Any] | None = None,
        non_blocking: bool = False,
    ) -> None:
        super().__init__(
            mean=mean,
            std=std,
            pad_size_divisor=pad_size_divisor,
            pad_value=pad_value,
            bgr_to_rgb=to_rgb,
            non_blocking=non_blocking,
        )
        self.to_onehot = to_onehot
        self.num_classes = num_classes
        self.batch_augments = RandomBatchAugment(**batch_augments) if batch_augments else None
        if (to_onehot or batch_augments) and num_classes is None:
            raise ConfigError("to_onehot and batch augmentations need data_preprocessor.num_classes")

    def forward(self, data: Any, training: bool = False) -> dict[str, Any]:
        """Prepare `data['inputs']`, images (C, H, W) or a batch of them, and the labels.

        Returns:
            `inputs`, float32 (N, C, H, W), and `data_samples`.
        """
        if isinstance(data, dict) and _alike(data.get("inputs")):
            # One stacked batch takes a handful of operations, where images one by one take as many each.
            data = {**data, "inputs": torch.stack(data["inputs"])}
        data = super().forward(data, training)
        samples = data["data_samples"]
        if samples and isinstance(samples[0], DataSample):
            mixed = training and self.batch_augments is not None
            if self.to_onehot or mixed:
                self._add_scores(samples)
            if mixed:
                data["inputs"] = self._augmented(data["inputs"], samples)
        return data

    def _add_scores(self, samples: Sequence[DataSample]) -> None:
        classes = self.num_classes or 0
        for sample in samples:
            if "gt_score" in sample or "gt_label" not in sample:
                continue
            label = sample.gt_label
            if int(label.max()) >= classes:
                raise DataError(
                    f"label {label.tolist()} is outside of num_classes={classes} of the data preprocessor"
                )
            sample.set_gt_score(F.one_hot(label, classes).sum(dim=0).float())

    def _augmented(self, inputs: Tensor, samples: Sequence[DataSample]) -> Tensor:
        scores = torch.stack([sample.gt_score for sample in samples])
        inputs, scores = self.batch_augments(inputs, scores)  # type: ignore[misc]
        for sample, score in zip(samples, scores, strict=True):
            sample.set_gt_score(score)
        return inputs


def _alike(images: Any) -> bool:
    """Whether these are tensors of one shape, dtype and device, which can be stacked."""
    if not isinstance(images, (list, tuple)) or not images or not isinstance(images[0], Tensor):
        return False
    first = images[0]
    kind = (first.shape, first.dtype, first.device)
    return first.dim() == 3 and all(
        isinstance(image, Tensor) and (image.shape, image.dtype, image.device) == kind for image in images
    )
