"""Random changes of brightness, contrast, saturation, hue and channel order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import cv2
import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.transforms import BaseTransform


class _Draw(NamedTuple):
    """What is done to one image; None where a step is left out."""

    brightness: float | None
    contrast: float | None
    saturation: float | None
    hue: float | None
    channels: np.ndarray | None


@TRANSFORMS.register_module()
class PhotoMetricDistortion(BaseTransform):
    """Distort the colours of an image, each step with probability one half.

    The steps are SSD's: brightness, contrast (here or last), saturation, hue, contrast, order of channels.
    Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    The image is BGR. A float image is treated as in MMDetection, without clipping. A uint8
    image stays uint8: it is computed the same way and rounded and clipped to 0..255 once, at the end.

    Args:
        brightness_delta: Largest change of brightness, in levels.
        contrast_range: Smallest and largest factor of contrast.
        saturation_range: Smallest and largest factor of saturation.
        hue_delta: Largest change of hue, in degrees.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: Sequence[float] = (0.5, 1.5),
        saturation_range: Sequence[float] = (0.5, 1.5),
        hue_delta: float = 18,
    ) -> None:
        self.brightness_delta = brightness_delta
        self.contrast_lower, self.contrast_upper = contrast_range
        self.saturation_lower, self.saturation_upper = saturation_range
        self.hue_delta = hue_delta

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its colours distorted."""
        image, draw = results["img"], self._draw()
        if image.dtype == np.uint8 and draw.saturation is None and draw.hue is None:
            image = self._by_table(image, draw)
        else:
            distorted = self._in_float(image.astype(np.float32), draw)
            if image.dtype == np.uint8:
                distorted = cv2.convertScaleAbs(np.maximum(distorted, 0, out=distorted))
            image = distorted
        if draw.channels is not None:
            swapped = np.empty_like(image)
            pairs = [number for place, source in enumerate(draw.channels) for number in (int(source), place)]
            cv2.mixChannels([image], [swapped], pairs)
            image = swapped
        results["img"] = image
        return results

    def _draw(self) -> _Draw:
        # All numbers are drawn whether used or not, in MMDetection's order: one seed, one distortion.
        # The first says whether contrast comes before or after saturation and hue. These don't see a factor
        # that all channels share, so it makes no difference.
        _, brightness, contrast, saturation, hue, swap = (np.random.randint(2) for _ in range(6))
        delta = np.random.uniform(-self.brightness_delta, self.brightness_delta)
        alpha = np.random.uniform(self.contrast_lower, self.contrast_upper)
        saturation_value = np.random.uniform(self.saturation_lower, self.saturation_upper)
        hue_value = np.random.uniform(-self.hue_delta, self.hue_delta)
        order = np.random.permutation(3)
        return _Draw(
            brightness=delta if brightness else None,
            contrast=alpha if contrast else None,
            saturation=saturation_value if saturation else None,
            hue=hue_value if hue else None,
            channels=order if swap else None,
        )

    def _by_table(self, image: np.ndarray, draw: _Draw) -> np.ndarray:
        """Brightness and contrast of a uint8 image: one look-up a value."""
        if draw.brightness is None and draw.contrast is None:
            return image
        levels = (np.arange(256) + (draw.brightness or 0.0)) * (
            1.0 if draw.contrast is None else draw.contrast
        )
        return cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))

    def _in_float(self, image: np.ndarray, draw: _Draw) -> np.ndarray:
        if draw.brightness is not None:
            image += draw.brightness
        hsv: Any = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
        hue, saturation = hsv[..., 0], hsv[..., 1]  # views
        if draw.saturation is not None:
            saturation *= draw.saturation
            if draw.saturation > 1:  # beyond 1 there is no colour
                np.clip(saturation, 0, 1, out=saturation)
        if draw.hue is not None:
            hue += draw.hue
            turn, beyond = (-360, hue > 360) if draw.hue > 0 else (360, hue < 0)
            np.add(hue, np.float32(turn), out=hue, where=beyond)
        # fresh memory costs more than the arithmetic, so the buffer is used again
        cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR, dst=image)
        if draw.contrast is not None:
            image *= draw.contrast
        return image
