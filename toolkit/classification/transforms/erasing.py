"""Hiding a part of the image."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.classification.registry import TRANSFORMS
from toolkit.transforms import BaseTransform
from toolkit.utils.errors import ConfigError


@TRANSFORMS.register_module()
class RandomErasing(BaseTransform):
    """Overwrite a rectangle at random (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020).

    Reads and changes: `img`.

    Args:
        erase_prob: Probability of erasing.
        min_area_ratio: Smallest part of the area.
        max_area_ratio: Largest part of the area.
        aspect_range: Smallest and largest height by width; a number stands for itself and its inverse.
        mode: 'const' fills with `fill_color`, 'rand' with noise.
        fill_color: Colour of the rectangle, or mean of the noise.
        fill_std: Deviation of the noise; uniform noise over 0..255 by default.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(
        self,
        erase_prob: float = 0.5,
        min_area_ratio: float = 0.02,
        max_area_ratio: float = 0.4,
        aspect_range: float | Sequence[float] = (3 / 10, 10 / 3),
        mode: str = "const",
        fill_color: Sequence[float] = (128, 128, 128),
        fill_std: Sequence[float] | None = None,
    ) -> None:
        if mode not in ("const", "rand"):
            raise ConfigError(f"mode of RandomErasing must be 'const' or 'rand', but got {mode!r}")
        if not 0 <= erase_prob <= 1 or not 0 < min_area_ratio <= max_area_ratio < 1:
            raise ConfigError(
                f"RandomErasing got {erase_prob=}, {min_area_ratio=}, {max_area_ratio=}; all lie within "
                "0..1, the smallest area before the largest"
            )
        if not isinstance(aspect_range, Sequence):
            aspect_range = (min(aspect_range, 1 / aspect_range), max(aspect_range, 1 / aspect_range))
        self.erase_prob = erase_prob
        self.min_area_ratio = min_area_ratio
        self.max_area_ratio = max_area_ratio
        self.aspect_range = aspect_range
        self.mode = mode
        self.fill_color = fill_color
        self.fill_std = fill_std

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with a rectangle erased, or as it was."""
        if random.random() >= self.erase_prob:
            return results
        height, width = results["img"].shape[:2]
        area = height * width * random.uniform(self.min_area_ratio, self.max_area_ratio)
        aspect = math.exp(random.uniform(*map(math.log, self.aspect_range)))
        rows = max(1, min(round(math.sqrt(area * aspect)), height))
        columns = max(1, min(round(math.sqrt(area / aspect)), width))
        top, left = random.randint(0, height - rows), random.randint(0, width - columns)
        image = results["img"].copy()
        patch = image[top : top + rows, left : left + columns]
        patch[...] = self._fill(patch.shape).astype(image.dtype)
        results["img"] = image
        return results

    def _fill(self, shape: tuple[int, ...]) -> np.ndarray:
        if self.mode == "const":
            return np.broadcast_to(np.asarray(self.fill_color), shape)
        if self.fill_std is None:
            return np.random.uniform(0, 255, shape)
        return np.random.normal(self.fill_color, self.fill_std, shape).clip(0, 255)
