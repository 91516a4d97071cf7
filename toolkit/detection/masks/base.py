"""What bitmaps and polygons have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

import cv2
import numpy as np
import torch
from torch import Tensor

from toolkit.transforms.image_ops import rescale_size
from toolkit.utils import BuildError, did_you_mean

Shape = tuple[int, int]
Masks = TypeVar("Masks", bound="InstanceMasks")
_DIRECTIONS = ("horizontal", "vertical", "diagonal")


class InstanceMasks(ABC):
    """Masks of the N instances of an image of `height` x `width` pixels.

    Methods return new masks and leave these as they are. Shapes are (height, width), boxes (x1, y1, x2, y2).
    """

    height: int
    width: int
    masks: Any

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.masks)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_masks={len(self)}, height={self.height}, width={self.width})"

    @abstractmethod
    def __getitem__(self: Masks, index: Any) -> Masks:
        """The masks at an int, slice, list, array or tensor of indices or booleans."""

    @property
    @abstractmethod
    def areas(self) -> np.ndarray:
        """(N,) number of pixels inside."""

    @abstractmethod
    def get_bboxes(self, dst_type: str = "hbox") -> np.ndarray:
        """(N, 4) float32 extents; `dst_type` is accepted for MMDetection's sake: boxes are plain arrays."""

    def rescale(self: Masks, scale: float | Sequence[float], interpolation: str = "nearest") -> Masks:
        """Scale with the same aspect ratio.

        Args:
            scale: A factor, or the largest (long side, short side), in any order.
            interpolation: See `resize`.
        """
        size: Any = scale if isinstance(scale, (int, float)) else tuple(scale)
        width, height = cast(Shape, rescale_size((self.width, self.height), size))
        return self.resize((height, width), interpolation)

    @abstractmethod
    def resize(self: Masks, out_shape: Shape, interpolation: str = "nearest") -> Masks:
        """Scale to a shape, whatever the aspect ratio."""

    @abstractmethod
    def flip(self: Masks, flip_direction: str = "horizontal") -> Masks:
        """Mirror 'horizontal'ly, 'vertical'ly or along the 'diagonal' (both)."""

    @abstractmethod
    def pad(self: Masks, out_shape: Shape, pad_val: int = 0) -> Masks:
        """Extend to a shape, at the right and the bottom."""

    @abstractmethod
    def crop(self: Masks, bbox: Sequence[int] | np.ndarray) -> Masks:
        """Cut to a box, which is itself cut to the image; the result has at least one pixel."""

    @abstractmethod
    def expand(self: Masks, expanded_h: int, expanded_w: int, top: int, left: int) -> Masks:
        """Put onto a larger image of `expanded_h` x `expanded_w`, at (`top`, `left`)."""

    @abstractmethod
    def warp(
        self: Masks,
        matrix: np.ndarray,
        out_shape: Shape,
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> Masks:
        """Move each point (x, y) to ``matrix @ (x, y, 1)``, a matrix (2, 3), on an image of `out_shape`."""

    def translate(
        self: Masks,
        out_shape: Shape,
        offset: float,
        direction: str = "horizontal",
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> Masks:
        """Shift by `offset` pixels to the right ('horizontal') or down ('vertical')."""
        matrix = np.eye(2, 3, dtype=np.float32)
        matrix[_axis(direction), 2] = offset
        return self.warp(matrix, out_shape, border_value, interpolation)

    def shear(
        self: Masks,
        out_shape: Shape,
        magnitude: float,
        direction: str = "horizontal",
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> Masks:
        """Shift rows ('horizontal') by `magnitude` times their y, or columns ('vertical') likewise."""
        matrix = np.eye(2, 3, dtype=np.float32)
        axis = _axis(direction)
        matrix[axis, 1 - axis] = magnitude
        return self.warp(matrix, out_shape, border_value, interpolation)

    def rotate(
        self: Masks,
        out_shape: Shape,
        angle: float,
        center: tuple[float, float] | None = None,
        scale: float = 1.0,
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> Masks:
        """Turn clockwise by `angle` degrees around a point (x, y), without one the image's centre.

        `scale` also enlarges by that factor.
        """
        middle = center or ((self.width - 1) * 0.5, (self.height - 1) * 0.5)
        matrix = cv2.getRotationMatrix2D(middle, -angle, scale)
        return self.warp(matrix, out_shape, border_value, interpolation)

    @abstractmethod
    def targets(self, boxes: Tensor, inds: Tensor, out_shape: Shape, binarize: bool = True) -> Tensor:
        """What a mask head is to predict in boxes.

        Args:
            boxes: (P, 4), inside the image, float32.
            inds: The mask that each is of, (P,) int64.
            out_shape: Shape of the prediction.
            binarize: 0 and 1, in place of the covered part of each cell.

        Returns:
            (P, *out_shape) float32 on the device of `boxes`.
        """

    def areas_in(self, boxes: np.ndarray, inds: np.ndarray) -> np.ndarray:
        """The area of the masks `inds` (P,) that lies in boxes (P, 4) int: (P,) float64.

        A box is cut to the image, and has at least one pixel.
        """
        cuts = [self[int(index)].crop(box).areas[0] for box, index in zip(boxes, inds, strict=True)]
        return np.asarray(cuts, np.float64)

    @abstractmethod
    def crop_and_resize(
        self: Masks,
        bboxes: np.ndarray | Tensor,
        out_shape: Shape,
        inds: np.ndarray | Tensor,
        device: torch.device | str = "cpu",
        interpolation: str = "bilinear",
        binarize: bool = True,
    ) -> Masks:
        """Cut boxes (P, 4) out of the masks `inds` (P,), and scale each cut to a shape.

        Args:
            bboxes: Inside the image.
            out_shape: Shape of the results.
            inds: int64.
            device: Where it is computed.
            interpolation: Accepted for MMDetection's sake; cells are averaged.
            binarize: 0 and 1, in place of the covered part of each cell.
        """

    @abstractmethod
    def to_ndarray(self) -> np.ndarray:
        """(N, H, W) uint8."""

    def to_tensor(self, dtype: torch.dtype, device: torch.device | str) -> Tensor:
        """(N, H, W) tensor."""
        return torch.from_numpy(np.array(self.to_ndarray())).to(device=device, dtype=dtype)


def checked_direction(direction: str, choices: tuple[str, ...] = _DIRECTIONS) -> str:
    """The direction.

    Raises:
        BuildError: It isn't one of the choices.
    """
    if direction not in choices:
        hint = did_you_mean(direction, list(choices))
        raise BuildError(f"direction of masks must be one of {choices}, got {direction!r}{hint}")
    return direction


def _axis(direction: str) -> int:
    return _DIRECTIONS.index(checked_direction(direction, _DIRECTIONS[:2]))


def as_index(index: Any) -> Any:
    """An index on the CPU, as NumPy takes it."""
    return index.cpu().numpy() if isinstance(index, Tensor) else index


def clipped_box(bbox: Sequence[int] | np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, width (≥ 1) and height (≥ 1) of a box (x1, y1, x2, y2) cut to an image."""
    left, right = (min(max(int(x), 0), width) for x in bbox[0::2])
    top, bottom = (min(max(int(y), 0), height) for y in bbox[1::2])
    return left, top, max(right - left, 1), max(bottom - top, 1)
