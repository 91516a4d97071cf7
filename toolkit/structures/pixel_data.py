"""`PixelData`: maps with a value at each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from toolkit.structures.base_data_element import BaseDataElement

Self = TypeVar("Self", bound="PixelData")


class PixelData(BaseDataElement):
    """Maps of one image, such as a segmentation map; every data field is (C, H, W) with the same H and W.

    A map of (H, W) becomes (1, H, W). An index of two ints or slices crops all maps.

    Examples:
        >>> maps = PixelData(sem_seg=torch.zeros(20, 40))
        >>> maps[5:10, 7].shape
        (5, 1)
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_metainfo_fields", "_data_fields"):
            self.set_field(value, name)  # refuses it
            return
        if not isinstance(value, (torch.Tensor, np.ndarray)):
            raise TypeError(f"{name!r} must be a tensor or an array, got {type(value).__name__}")
        if value.ndim not in (2, 3):
            raise ValueError(f"{name!r} must be (H, W) or (C, H, W), got shape {tuple(value.shape)}")
        if value.ndim == 2:
            value = value[None]
        others = [one for one in self._data_fields if one != name]
        if others and tuple(value.shape[-2:]) != self.shape:
            raise ValueError(f"{name!r} is {tuple(value.shape[-2:])}, but the other maps are {self.shape}")
        self.set_field(value, name)

    def __getitem__(self: Self, item: Sequence[int | slice]) -> Self:
        """The maps cropped to two ints or slices (rows, columns); both dimensions stay.

        Raises:
            TypeError: The index is not a pair of ints or slices.
            IndexError: An int is out of range.
        """
        if not (isinstance(item, tuple) and len(item) == 2):
            raise TypeError(f"maps are cropped by a pair (rows, columns), got {item!r}")
        size = self.shape or (0, 0)
        rows, columns = (_as_slice(one, length) for one, length in zip(item, size, strict=True))
        return self.new(data={name: value[:, rows, columns] for name, value in self.items()})

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of the maps in pixels, or None where there are none."""
        for value in self.values():
            return int(value.shape[-2]), int(value.shape[-1])
        return None


def _as_slice(index: Any, length: int) -> slice:
    if isinstance(index, slice):
        return index
    if isinstance(index, int):
        if not -length <= index < length:
            raise IndexError(f"{index} is outside of {length} pixels")
        return slice(index, None, length)
    raise TypeError(f"maps are cropped by ints and slices, got {type(index).__name__}")
