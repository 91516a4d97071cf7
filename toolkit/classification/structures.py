"""The data sample of classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from toolkit.structures import BaseDataElement


def format_label(value: Any) -> Tensor:
    """A label or labels as an int64 tensor (K,); a single one has the shape (1,).

    Raises:
        TypeError: It is no number, sequence, array or tensor of integers.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return torch.tensor([value], dtype=torch.int64)
    if isinstance(value, (np.ndarray, Tensor)):
        tensor = torch.as_tensor(value)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        tensor = torch.tensor(value)
    else:
        raise TypeError(
            f"a label is an int, a sequence, an array or a tensor, but got {type(value).__name__}: {value!r}"
        )
    if tensor.is_floating_point() and tensor.numel():
        raise TypeError(f"labels are integers, but got {tensor.dtype}")
    return tensor.reshape(-1).long()


def format_score(value: Any) -> Tensor:
    """Scores of all classes as a float tensor (num_classes,).

    Raises:
        ValueError: It isn't one-dimensional.
    """
    tensor = torch.as_tensor(value)
    tensor = tensor if tensor.is_floating_point() else tensor.float()
    if tensor.dim() != 1:
        raise ValueError(f"scores have the shape (num_classes,), but got {tuple(tensor.shape)}")
    return tensor


class DataSample(BaseDataElement):
    """Annotations and predictions of an image.

    Attributes:
        gt_label: int64 (K,): the true label, or several.
        gt_score: float (num_classes,): the true scores, one-hot or soft.
        pred_label: int64 (K,): the predicted label, or several.
        pred_score: float (num_classes,): the predicted scores.
        num_classes: Number of classes, where known.
    """

    def set_gt_label(self, value: Any) -> Self:
        """Set the true label or labels: an int, a sequence, an array or a tensor."""
        self.gt_label = format_label(value)
        return self

    def set_gt_score(self, value: Any) -> Self:
        """Set the true scores of all classes."""
        self.gt_score = self._checked_score(value)
        return self

    def set_pred_label(self, value: Any) -> Self:
        """Set the predicted label or labels."""
        self.pred_label = format_label(value)
        return self

    def set_pred_score(self, value: Any) -> Self:
        """Set the predicted scores of all classes."""
        self.pred_score = self._checked_score(value)
        return self

    def set_mask(self, value: Any) -> Self:
        """Set a mask of the image: an array or a tensor."""
        self.mask = torch.as_tensor(value)
        return self

    def _checked_score(self, value: Any) -> Tensor:
        score = format_score(value)
        classes = self.get("num_classes")
        if classes is None:
            self.set_field(len(score), "num_classes", field_type="metainfo")
        elif classes != len(score):
            raise ValueError(f"{len(score)} scores were given, but the sample has {classes} classes")
        return score
