"""Changes of an image's colours that go with any task."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.transforms.image_ops import hsv2bgr, imnormalize
from toolkit.utils.errors import ConfigError

_FORMATS = ("bgr", "rgb", "hsv")


@TRANSFORMS.register_module()
class Normalize(BaseTransform):
    """Take a mean from the image's channels and divide them by a deviation.

    Reads: `img`.
    Changes: none.
    Writes: `img`, `img_norm_cfg`.

    The image is float32 from here on. Data preprocessors normalise whole batches on the device, at a
    fraction of the time: give theirs `mean=None` where this transform is used.

    Args:
        mean: One number a channel, in the order of the channels after `to_rgb`.
        std: Likewise.
        to_rgb: Reverse the channels of a BGR image first.

    Raises:
        ConfigError: `mean` and `std` differ in length, or a deviation isn't positive.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img", "img_norm_cfg")

    def __init__(self, mean: Sequence[float], std: Sequence[float], to_rgb: bool = True) -> None:
        if len(mean) != len(std) or min(std) <= 0:
            raise ConfigError(
                f"Normalize takes as many mean as std, and each std above 0, but got {mean=}, {std=}"
            )
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        self.to_rgb = to_rgb

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its image normalised."""
        image = results["img"]
        channels = image.shape[2] if image.ndim > 2 else 1
        if channels != len(self.mean):
            raise ConfigError(
                f"Normalize has {len(self.mean)} mean and std, but the image has "
                f"{channels} {'channel' if channels == 1 else 'channels'}"
            )
        to_rgb = self.to_rgb and channels > 1
        results["img"] = imnormalize(image, self.mean, self.std, to_rgb)  # type: ignore[arg-type]
        results["img_norm_cfg"] = {"mean": self.mean, "std": self.std, "to_rgb": self.to_rgb}
        return results


@TRANSFORMS.register_module()
class RandomGrayscale(BaseTransform):
    """Take the colours out at random.

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Levels are cut to whole ones in a uint8 image.

    Args:
        prob: The probability.
        keep_channels: Repeat the grey for each channel; without it the image becomes (H, W).
        channel_weights: Weights of the channels in the grey, in their order, whatever their sum.
        color_format: 'bgr', 'rgb' or 'hsv'. An 'hsv' image becomes BGR, whether its colours are taken or not.

    Raises:
        ConfigError: `prob` isn't a probability, the weights don't sum to something positive, or the format is
            unknown.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(
        self,
        prob: float = 0.1,
        keep_channels: bool = False,
        channel_weights: Sequence[float] = (1.0, 1.0, 1.0),
        color_format: str = "bgr",
    ) -> None:
        if not 0 <= prob <= 1:
            raise ConfigError(f"prob of RandomGrayscale must be within 0..1, but got {prob}")
        if min(channel_weights) < 0 or sum(channel_weights) <= 0:
            raise ConfigError(
                f"channel_weights of RandomGrayscale are positive numbers, but got {channel_weights!r}"
            )
        if color_format not in _FORMATS:
            raise ConfigError(
                f"color_format of RandomGrayscale is one of {', '.join(_FORMATS)}, but got {color_format!r}"
            )
        self.prob = prob
        self.keep_channels = keep_channels
        self.channel_weights = channel_weights
        self.color_format = color_format

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, in colour or grey."""
        image = results["img"]
        if self.color_format == "hsv":
            image = hsv2bgr(image)
        if random.random() < self.prob:
            image = self._gray(image)
        results["img"] = image
        return results

    def _gray(self, image: np.ndarray) -> np.ndarray:
        weights = np.asarray(self.channel_weights)
        if image.ndim < 3 or image.shape[2] != len(weights):
            raise ConfigError(
                f"RandomGrayscale has {len(weights)} channel_weights, but the image's shape is {image.shape}"
            )
        # in this order, since whole levels are cut: a last bit decides
        gray = (image * (weights / weights.sum())).sum(axis=2).astype(image.dtype)
        return np.repeat(gray[..., None], image.shape[2], axis=2) if self.keep_channels else gray
