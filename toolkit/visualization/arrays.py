"""What users give to draw, as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from toolkit.utils import ConfigError
from toolkit.visualization.canvas import Image, Points


def as_image(image: Any) -> Image:
    """A picture as RGB (H, W, 3) of uint8.

    Raises:
        ConfigError: Another shape.
    """
    array = to_array(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise ConfigError(f"a picture has the shape (H, W, 3), (H, W, 1) or (H, W), got {array.shape}")
    if array.dtype != np.uint8:
        array = np.rint(np.clip(array.astype(np.float64), 0, 255)).astype(np.uint8)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array)


def to_array(value: Any) -> npt.NDArray[Any]:
    """A tensor, list or array as an array."""
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def to_numbers(value: Any) -> Points:
    """The same of float64."""
    return to_array(value).astype(np.float64)


def to_rows(value: Any, columns: int, what: str) -> Points:
    """The same as rows (N, `columns`), of which there may be one or none.

    Raises:
        ConfigError: Another shape; `what` is named.
    """
    array = to_numbers(value)
    if array.ndim == 1 and array.size == columns:
        array = array[None]
    if array.size == 0:
        return array.reshape(0, columns)
    if array.ndim != 2 or array.shape[1] != columns:
        raise ConfigError(f"{what} has the shape (N, {columns}) or ({columns},), got {array.shape}")
    return array
