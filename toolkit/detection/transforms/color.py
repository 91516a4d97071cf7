"""Changes of colour that AutoAugment and RandAugment choose from, with MMCV's arithmetic.

Most give each of the 256 levels another one, so they look levels up in a table; images are uint8 then.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import cv2
import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.levels import check_strength, level_to_mag
from toolkit.transforms import BaseTransform
from toolkit.utils.errors import DataError

_LEVELS = 256
_TOP = _LEVELS - 1
# PIL's SMOOTH filter.
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13


def map_levels(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Change each value by itself; results are clipped to 0..255 and cut to the image's dtype."""
    if image.dtype == np.uint8:
        table = np.clip(change(np.arange(_LEVELS, dtype=np.float32)), 0, _TOP).astype(np.uint8)
        return cv2.LUT(image, table)
    return np.clip(change(image), 0, _TOP).astype(image.dtype)


def _blend_level(image: np.ndarray, factor: float, other: float) -> np.ndarray:
    """`image * factor + other * (1 - factor)`."""
    return map_levels(
        image, lambda levels: cv2.addWeighted(levels, factor, np.full_like(levels, other), 1 - factor, 0)
    )


@TRANSFORMS.register_module()
class ColorTransform(BaseTransform):
    """Base of transforms that change colours by a random strength, and nothing else.

    A subclass says in `recolored` what a strength means. This base itself changes nothing.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least strength.
        max_mag: Greatest strength; 1.9 by default.

    Raises:
        ConfigError: An argument is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)
    limits: ClassVar[tuple[float, float] | None] = None
    default_mags: ClassVar[tuple[float, float]] = (0.1, 1.9)

    def __init__(
        self,
        prob: float = 1.0,
        level: int | None = None,
        min_mag: float | None = None,
        max_mag: float | None = None,
    ) -> None:
        self.prob = prob
        self.level = level
        self.min_mag = self.default_mags[0] if min_mag is None else min_mag
        self.max_mag = self.default_mags[1] if max_mag is None else max_mag
        check_strength(type(self).__name__, prob, level, (self.min_mag, self.max_mag), self.limits)

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """The image (H, W, 3) BGR, changed by a strength."""
        return image

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, with its colours changed or not."""
        if np.random.rand() <= self.prob:
            mag = level_to_mag(self.level, self.min_mag, self.max_mag)
            results["img"] = self.recolored(results["img"], mag)
        return results

    def checked_levels(self, image: np.ndarray) -> np.ndarray:
        """The image, of which levels can be counted.

        Raises:
            DataError: It isn't uint8.
        """
        if image.dtype != np.uint8:
            raise DataError(
                f"{type(self).__name__} counts the levels of uint8 images, but got {image.dtype}: leave "
                "to_float32 of LoadImageFromFile out, and put this before transforms that make floats"
            )
        return image


class _Enhancement(ColorTransform):
    """Strength 1 leaves the image as it is."""

    limits = (0.0, 2.0)


@TRANSFORMS.register_module()
class Color(_Enhancement):
    """Saturation: strength 0 makes the image grey, 1 leaves it, 2 doubles its colours.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least strength, from 0 to 2; 0.1 by default.
        max_mag: Greatest strength; 1.9 by default.
    """

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        mixed = cv2.addWeighted(image, mag, gray, 1 - mag, 0)
        return mixed if image.dtype == np.uint8 else np.clip(mixed, 0, _TOP)


@TRANSFORMS.register_module()
class Brightness(_Enhancement):
    """Brightness: strength 0 makes the image black, 1 leaves it, 2 doubles its levels.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least strength, from 0 to 2; 0.1 by default.
        max_mag: Greatest strength; 1.9 by default.
    """

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        return _blend_level(image, mag, 0)


@TRANSFORMS.register_module()
class Contrast(_Enhancement):
    """Contrast: strength 0 makes all pixels the image's mean grey, 1 leaves them, 2 doubles the distance
    from it.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least strength, from 0 to 2; 0.1 by default.
        max_mag: Greatest strength; 1.9 by default.
    """

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        mean = round(cv2.mean(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))[0])
        return _blend_level(image, mag, mean)


@TRANSFORMS.register_module()
class Sharpness(_Enhancement):
    """Sharpness: strength 0 smooths the image, 1 leaves it, 2 sharpens it.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least strength, from 0 to 2; 0.1 by default.
        max_mag: Greatest strength; 1.9 by default.
    """

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        smooth = cv2.filter2D(image, -1, _SMOOTH)
        if image.dtype == np.uint8:
            # MMCV cuts fractions off where OpenCV rounds to the nearest level.
            return cv2.addWeighted(image, mag, smooth, 1 - mag, -0.4999)
        return np.clip(cv2.addWeighted(image, mag, smooth, 1 - mag, 0), 0, _TOP)


@TRANSFORMS.register_module()
class Solarize(ColorTransform):
    """Invert the levels from a threshold on, which is the strength.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least threshold, from 0 to 256; 0 by default.
        max_mag: Greatest threshold; 256 by default.
    """

    limits = (0.0, 256.0)
    default_mags = (0.0, 256.0)

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        return map_levels(image, lambda levels: np.where(levels < mag, levels, _TOP - levels))


@TRANSFORMS.register_module()
class SolarizeAdd(ColorTransform):
    """Add the strength to the levels below 128.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least sum, from 0 to 110; 0 by default.
        max_mag: Greatest sum; 110 by default.
    """

    limits = (0.0, 110.0)
    default_mags = (0.0, 110.0)

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        return map_levels(image, lambda levels: np.where(levels < 128, levels + np.float32(mag), levels))


@TRANSFORMS.register_module()
class Posterize(ColorTransform):
    """Keep the highest bits of each level, as many as the strength rounded up.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Fewest bits, from 0 to 8; 0 by default.
        max_mag: Most bits; 4 by default.
    """

    limits = (0.0, 8.0)
    default_mags = (0.0, 4.0)

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        step = 2 ** (8 - math.ceil(mag))
        return map_levels(image, lambda levels: np.floor(levels / step) * step)


@TRANSFORMS.register_module()
class Equalize(ColorTransform):
    """Make the levels of each channel equally frequent, as far as they can be.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Without effect, and so are the further arguments.
        min_mag: Without effect.
        max_mag: Without effect.
    """

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        return _by_channel(self.checked_levels(image), _equalizing_table)


@TRANSFORMS.register_module()
class AutoContrast(ColorTransform):
    """Stretch the levels of each channel so that the darkest is 0 and the brightest 255.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Without effect, and so are the further arguments.
        min_mag: Without effect.
        max_mag: Without effect.
    """

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        return _by_channel(self.checked_levels(image), _stretching_table)


@TRANSFORMS.register_module()
class Invert(ColorTransform):
    """Make a negative.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        prob: Probability of doing it at all.
        level: Without effect, and so are the further arguments.
        min_mag: Without effect.
        max_mag: Without effect.
    """

    def recolored(self, image: np.ndarray, mag: float) -> np.ndarray:
        """See `ColorTransform`."""
        return cv2.bitwise_not(image) if image.dtype == np.uint8 else _TOP - image


def _by_channel(image: np.ndarray, make_table: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Look the levels of each channel up in a table made of their counts (256,)."""
    counts = [cv2.calcHist([image], [i], None, [_LEVELS], [0, _LEVELS]) for i in range(image.shape[2])]
    tables = [make_table(one.reshape(-1).astype(np.int64)) for one in counts]
    return cv2.LUT(image, np.stack(tables, axis=-1)[None].astype(np.uint8))


def _equalizing_table(counts: np.ndarray) -> np.ndarray:
    step = (counts.sum() - counts[counts > 0][-1]) // _TOP
    if not step:
        return np.arange(_LEVELS)
    table = (np.cumsum(counts) + step // 2) // step
    return np.minimum(np.concatenate([[0], table[:-1]]), _TOP)


def _stretching_table(counts: np.ndarray) -> np.ndarray:
    levels = np.flatnonzero(counts)
    low, high = levels[0], levels[-1]
    if low >= high:
        return np.arange(_LEVELS)
    scale = _TOP / (high - low)
    return np.clip(np.arange(_LEVELS) * scale - low * scale, 0, _TOP)
