"""Cutting a part out of the image."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, ClassVar

from toolkit.classification.registry import TRANSFORMS
from toolkit.transforms import BaseTransform
from toolkit.transforms.image_ops import impad, imresize
from toolkit.utils.errors import ConfigError


def _size(value: int | Sequence[int], what: str) -> tuple[int, int]:
    height, width = (value, value) if isinstance(value, int) else value
    if height <= 0 or width <= 0:
        raise ConfigError(f"{what} must be positive, but got {value!r}")
    return height, width


def _cut(results: dict[str, Any], top: int, left: int, height: int, width: int) -> dict[str, Any]:
    results["img"] = results["img"][top : top + height, left : left + width]
    results["img_shape"] = results["img"].shape[:2]
    return results


class _Crop(BaseTransform):
    """Common to crops to a fixed size."""

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape")


@TRANSFORMS.register_module()
class RandomCrop(_Crop):
    """Cut out a part at a random place.

    Reads and changes: `img`. Writes: `img_shape`.

    Args:
        crop_size: Height and width; a number stands for both. What the image lacks of it is not made up for,
            unless with `pad_if_needed`.
        padding: Pad before: one width for all sides; (left and right, top and bottom); (left, top, right,
            bottom).
        pad_if_needed: Pad an image that is smaller than `crop_size`.
        pad_val: Value of the padding, or one for each channel.
        padding_mode: constant, edge, reflect or symmetric.
    """

    def __init__(
        self,
        crop_size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        pad_val: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.crop_size = _size(crop_size, "crop_size of RandomCrop")
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.pad_val = pad_val
        self.padding_mode = padding_mode

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The part."""
        results["img"] = self._padded(results["img"])
        height, width = results["img"].shape[:2]
        rows, columns = min(self.crop_size[0], height), min(self.crop_size[1], width)
        top, left = random.randint(0, height - rows), random.randint(0, width - columns)
        return _cut(results, top, left, rows, columns)

    def _padded(self, image: Any) -> Any:
        fill = {"pad_val": self.pad_val, "padding_mode": self.padding_mode}
        if self.padding is not None:
            image = impad(image, padding=self.padding, **fill)  # type: ignore[arg-type]
        if self.pad_if_needed:
            down, across = (
                max(want - have, 0) for want, have in zip(self.crop_size, image.shape, strict=False)
            )
            if down or across:
                image = impad(image, padding=(across, down, across, down), **fill)  # type: ignore[arg-type]
        return image


@TRANSFORMS.register_module()
class RandomResizedCrop(_Crop):
    """Cut out a part of random area and aspect ratio, and scale it to a fixed size.

    The training crop of Inception: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015.

    Reads and changes: `img`. Writes: `img_shape`.

    Args:
        scale: (height, width) of the result; a number stands for both.
        crop_ratio_range: Smallest and largest part of the area.
        aspect_ratio_range: Smallest and largest width by height, drawn log-uniformly.
        max_attempts: Draws until one lies within the image; after that a centred part is taken.
        interpolation: nearest, bilinear, bicubic, area or lanczos.
        backend: 'cv2' or 'pillow'.
    """

    def __init__(
        self,
        scale: int | Sequence[int],
        crop_ratio_range: tuple[float, float] = (0.08, 1.0),
        aspect_ratio_range: tuple[float, float] = (3.0 / 4.0, 4.0 / 3.0),
        max_attempts: int = 10,
        interpolation: str = "bilinear",
        backend: str = "cv2",
    ) -> None:
        self.scale = _size(scale, "scale of RandomResizedCrop")
        for name, (low, high) in {
            "crop_ratio_range": crop_ratio_range,
            "aspect_ratio_range": aspect_ratio_range,
        }.items():
            if not 0 < low <= high:
                raise ConfigError(
                    f"{name} of RandomResizedCrop must be (smallest, largest) > 0, but got {(low, high)}"
                )
        self.crop_ratio_range = crop_ratio_range
        self.aspect_ratio_range = aspect_ratio_range
        self.max_attempts = max_attempts
        self.interpolation = interpolation
        self.backend = backend

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The part, in the size of `scale`."""
        image = results["img"]
        top, left, height, width = self._draw(*image.shape[:2])
        part = image[top : top + height, left : left + width]
        results["img"] = imresize(
            part, self.scale[::-1], interpolation=self.interpolation, backend=self.backend
        )
        results["img_shape"] = results["img"].shape[:2]
        return results

    def _draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of the part."""
        low, high = self.aspect_ratio_range
        for _ in range(self.max_attempts):
            area = height * width * random.uniform(*self.crop_ratio_range)
            aspect = math.exp(random.uniform(math.log(low), math.log(high)))
            columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < columns <= width and 0 < rows <= height:
                return random.randint(0, height - rows), random.randint(0, width - columns), rows, columns
        columns, rows = width, height
        if width / height < low:
            rows = min(round(width / low), height)
        elif width / height > high:
            columns = min(round(height * high), width)
        return (height - rows) // 2, (width - columns) // 2, rows, columns
