"""Random changes of colour."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np

from toolkit.classification.registry import TRANSFORMS
from toolkit.transforms import BaseTransform
from toolkit.transforms.image_ops import bgr2gray, gray2bgr
from toolkit.utils.errors import ConfigError

Range = float | Sequence[float]


def _interval(value: Range, name: str, center: float, limit: float) -> tuple[float, float]:
    if isinstance(value, Sequence):
        low, high = value
    else:
        low, high = center - value, center + value
        low = max(low, 0.0) if center else low
    if low > high or (center and low < 0) or (not center and max(-low, high) > limit):
        raise ConfigError(f"{name} of ColorJitter can't be {value!r}")
    return float(low), float(high)


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue, in random order, as torchvision's transform of the
    name does.

    Reads and changes: `img` (H, W, 3) uint8 BGR.

    Args:
        brightness: Factors are drawn from [max(0, 1 - b), 1 + b]; or (smallest, largest).
        contrast: Likewise.
        saturation: Likewise.
        hue: Turns are drawn from [-h, h], h <= 0.5; or (smallest, largest).
        backend: Accepted for MMPretrain's configs; all work is OpenCV's.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(
        self,
        brightness: Range = 0.0,
        contrast: Range = 0.0,
        saturation: Range = 0.0,
        hue: Range = 0.0,
        backend: str = "cv2",
    ) -> None:
        self.brightness = _interval(brightness, "brightness", 1.0, 0.0)
        self.contrast = _interval(contrast, "contrast", 1.0, 0.0)
        self.saturation = _interval(saturation, "saturation", 1.0, 0.0)
        self.hue = _interval(hue, "hue", 0.0, 0.5)
        self.backend = backend

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its colours changed."""
        image = results["img"]
        steps = [
            (_brightened, self.brightness, 1.0),
            (_contrasted, self.contrast, 1.0),
            (_saturated, self.saturation, 1.0),
            (_turned, self.hue, 0.0),
        ]
        random.shuffle(steps)
        for change, (low, high), neutral in steps:
            if (low, high) != (neutral, neutral):
                image = change(image, random.uniform(low, high))
        results["img"] = image
        return results


def _brightened(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.convertScaleAbs(image, alpha=factor)


def _contrasted(image: np.ndarray, factor: float) -> np.ndarray:
    mean = float(bgr2gray(image).mean())
    table = np.clip(np.arange(256) * factor + mean * (1 - factor), 0, 255).round().astype(np.uint8)
    return cv2.LUT(image, table)


def _saturated(image: np.ndarray, factor: float) -> np.ndarray:
    return cv2.addWeighted(image, factor, gray2bgr(bgr2gray(image)), 1 - factor, 0)


def _turned(image: np.ndarray, turns: float) -> np.ndarray:
    hsv = cv2.cvtColor(
        image, cv2.COLOR_BGR2HSV_FULL
    )  # hue as 0..255, so that a uint8 wraps as the circle does
    hsv[..., 0] += np.uint8(round(turns * 255) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)
