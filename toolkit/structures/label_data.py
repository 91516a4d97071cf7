"""`LabelData`: labels of a whole sample."""

from __future__ import annotations

import torch

from toolkit.structures.base_data_element import BaseDataElement


class LabelData(BaseDataElement):
    """Labels of a whole sample, as class indices or one-hot vectors."""

    @staticmethod
    def onehot_to_label(onehot: torch.Tensor) -> torch.Tensor:
        """Class indices of a one-hot (or multi-hot) vector.

        Args:
            onehot: (num_classes,) of zeros and ones.

        Returns:
            int64 (K,): the places of the ones.
        """
        if onehot.ndim != 1 or not bool(((onehot == 0) | (onehot == 1)).all()):
            raise ValueError(f"a one-hot vector is of one dimension, zeros and ones, got {onehot}")
        return onehot.nonzero().flatten()

    @staticmethod
    def label_to_onehot(label: torch.Tensor, num_classes: int) -> torch.Tensor:
        """One-hot (or multi-hot) vector of class indices.

        Args:
            label: int64 (K,) or (): the classes.
            num_classes: Length of the vector.

        Returns:
            (num_classes,) of the dtype of `label`.

        Raises:
            ValueError: A label is not below `num_classes`.
        """
        if label.numel() and not 0 <= int(label.min()) <= int(label.max()) < num_classes:
            raise ValueError(f"labels must lie in 0…{num_classes - 1}, got {label.tolist()}")
        onehot = label.new_zeros(num_classes)
        onehot[label.long()] = 1
        return onehot
