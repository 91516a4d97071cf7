"""Scaling and mirroring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.classification.registry import TRANSFORMS
from toolkit.transforms import BaseTransform
from toolkit.transforms.image_ops import imflip, imresize, rescale_size
from toolkit.utils.errors import ConfigError


def _pair(value: Any) -> tuple[Any, Any]:
    return (value[0], value[1]) if isinstance(value, Sequence) else (value, value)


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Scale the image.

    Reads and changes: `img`. Writes: `img_shape` (h, w), `scale` (w, h), `scale_factor` (w, h), `keep_ratio`.

    Args:
        scale: (width, height); a number stands for both. With `keep_ratio` the image fits into it.
        scale_factor: Factor, or (width, height) factors, where no `scale` is given.
        keep_ratio: Whether width and height are scaled alike.
        backend: 'cv2' or 'pillow'.
        interpolation: nearest, bilinear, bicubic, area or lanczos.

    Raises:
        ConfigError: Neither or both of `scale` and `scale_factor` are given.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "scale", "scale_factor", "keep_ratio")

    def __init__(
        self,
        scale: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        keep_ratio: bool = False,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        if (scale is None) == (scale_factor is None):
            raise ConfigError(
                f"Resize takes scale=(width, height) or scale_factor, but got {scale=}, {scale_factor=}"
            )
        self.scale = None if scale is None else _pair(scale)
        self.scale_factor = None if scale_factor is None else _pair(scale_factor)
        self.keep_ratio = keep_ratio
        self.backend = backend
        self.interpolation = interpolation

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample in its new size."""
        height, width = results["img"].shape[:2]
        if self.scale is not None:
            scale = self.scale
        else:
            across, down = self.scale_factor  # type: ignore[misc]
            scale = (int(width * across + 0.5), int(height * down + 0.5))
        size = rescale_size((width, height), scale) if self.keep_ratio else scale
        return _resized(results, size, self.interpolation, self.backend, scale, self.keep_ratio)


def _resized(
    results: dict[str, Any], size: Any, interpolation: str, backend: str, scale: Any, keep_ratio: bool
) -> dict[str, Any]:
    height, width = results["img"].shape[:2]
    if size != (width, height):
        results["img"] = imresize(results["img"], size, interpolation=interpolation, backend=backend)
    results["img_shape"] = results["img"].shape[:2]
    results["scale"] = scale
    results["scale_factor"] = (size[0] / width, size[1] / height)
    results["keep_ratio"] = keep_ratio
    return results


@TRANSFORMS.register_module()
class ResizeEdge(BaseTransform):
    """Scale the image so that one edge gets a length; the aspect ratio is kept.

    Reads and changes: `img`. Writes: `img_shape`, `scale`, `scale_factor`, `keep_ratio`.

    Args:
        scale: The length in pixels.
        edge: Which edge: short, long, width or height.
        backend: 'cv2' or 'pillow'.
        interpolation: nearest, bilinear, bicubic, area or lanczos.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "scale", "scale_factor", "keep_ratio")

    def __init__(
        self, scale: int, edge: str = "short", backend: str = "cv2", interpolation: str = "bilinear"
    ) -> None:
        if edge not in ("short", "long", "width", "height"):
            raise ConfigError(f"edge of ResizeEdge must be short, long, width or height, but got {edge!r}")
        self.scale = scale
        self.edge = edge
        self.backend = backend
        self.interpolation = interpolation

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample in its new size."""
        height, width = results["img"].shape[:2]
        by_width = self.edge == "width" or (
            (self.edge == "short") == (width < height) and self.edge != "height"
        )
        if by_width:
            size = (self.scale, int(self.scale * height / width))
        else:
            size = (int(self.scale * width / height), self.scale)
        return _resized(results, size, self.interpolation, self.backend, size, True)


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror the image at random.

    Reads and changes: `img`. Writes: `flip` and `flip_direction`.

    Args:
        prob: Probability of a flip, shared equally by the directions; or one for each direction.
        direction: horizontal, vertical or diagonal, or a list of them.

    Raises:
        ConfigError: The probabilities don't fit the directions.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img", "flip", "flip_direction")

    def __init__(
        self, prob: float | Sequence[float] = 0.5, direction: str | Sequence[str] = "horizontal"
    ) -> None:
        self.direction = [direction] if isinstance(direction, str) else list(direction)
        known = ("horizontal", "vertical", "diagonal")
        if any(one not in known for one in self.direction):
            raise ConfigError(f"direction of RandomFlip must be of {', '.join(known)}, but got {direction!r}")
        if isinstance(prob, Sequence):
            probs = [float(one) for one in prob]
        else:
            probs = [prob / len(self.direction)] * len(self.direction)
        if len(probs) != len(self.direction) or min(probs) < 0 or sum(probs) > 1 + 1e-9:
            raise ConfigError(
                f"RandomFlip in {len(self.direction)} directions got prob={prob!r}: sum must be <= 1"
            )
        self.prob = prob
        self._bounds = np.cumsum(probs)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, mirrored or not."""
        choice = int(np.searchsorted(self._bounds, np.random.rand(), side="right"))
        results["flip"] = choice < len(self.direction)
        results["flip_direction"] = self.direction[choice] if results["flip"] else None
        if results["flip"]:
            results["img"] = imflip(results["img"], self.direction[choice])
        return results
