"""YOLOX's change of hue, saturation and brightness."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.transforms import BaseTransform

# OpenCV's hue of uint8 images counts in steps of two degrees.
_HUES = 180


@TRANSFORMS.register_module()
class YOLOXHSVRandomAug(BaseTransform):
    """Shift hue, saturation and value by random whole numbers, each with probability one half.

    Ge et al., "YOLOX: Exceeding YOLO Series in 2021".

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    The image is uint8 BGR.

    Args:
        hue_delta: Largest shift of the hue, in steps of two degrees.
        saturation_delta: Largest shift of the saturation, of 255.
        value_delta: Largest shift of the value, of 255.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(self, hue_delta: int = 5, saturation_delta: int = 30, value_delta: int = 30) -> None:
        self.hue_delta = hue_delta
        self.saturation_delta = saturation_delta
        self.value_delta = value_delta

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its colours shifted."""
        deltas = [self.hue_delta, self.saturation_delta, self.value_delta]
        gains = np.random.uniform(-1, 1, 3) * deltas * np.random.randint(0, 2, 3)
        shifts = gains.astype(np.int16)
        if not shifts.any():
            return results  # the way to HSV and back would only round
        levels = np.arange(256)[:, None] + shifts  # (256, 3)
        table = np.clip(levels, 0, 255)
        table[:, 0] = levels[:, 0] % _HUES
        hsv = cv2.cvtColor(results["img"], cv2.COLOR_BGR2HSV)
        cv2.LUT(hsv, table[None].astype(np.uint8), dst=hsv)
        results["img"] = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
        return results
