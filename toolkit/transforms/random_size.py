"""Resizing to a size drawn for each sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.utils.errors import ConfigError

Scale = tuple[int, int]


class _DrawnResize(BaseTransform):
    """What the two share: the Resize of the current scope, whose `scale` is set before each use."""

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map", "homography_matrix")
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "scale", "scale_factor", "keep_ratio")

    def __init__(self, resize_type: str, resize_kwargs: dict[str, Any]) -> None:
        self.resize = TRANSFORMS.build({"type": resize_type, "scale": (1, 1), **resize_kwargs})

    def _resized(self, results: dict[str, Any], scale: Scale) -> dict[str, Any] | None:
        results["scale"] = scale
        self.resize.scale = scale
        return self.resize(results)


@TRANSFORMS.register_module()
class RandomResize(_DrawnResize):
    """Resize to a size drawn from a range.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`, `homography_matrix`.
    Writes: `img`, `img_shape`, `scale`, `scale_factor`, `keep_ratio`.

    Args:
        scale: (w, h) that `ratio_range` multiplies; or two of them, between which the longer and the shorter
            side are drawn independently.
        ratio_range: Smallest and largest factor of the one scale.
        resize_type: Name of the transform that resizes.
        **resize_kwargs: Its further arguments, such as `keep_ratio`.

    Raises:
        ConfigError: `scale` and `ratio_range` don't go together.
    """

    def __init__(
        self,
        scale: Scale | Sequence[Scale],
        ratio_range: tuple[float, float] | None = None,
        resize_type: str = "Resize",
        **resize_kwargs: Any,
    ) -> None:
        super().__init__(resize_type, resize_kwargs)
        self.scale = scale
        self.ratio_range = ratio_range
        single = isinstance(scale[0], (int, float))
        if single and ratio_range is None:
            raise ConfigError(f"RandomResize with one scale {scale} needs ratio_range=(smallest, largest)")
        if not single and len(scale) != 2:
            raise ConfigError(f"RandomResize takes one scale (w, h) or two, but got {len(scale)}: {scale}")

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample in a size drawn for it."""
        return self._resized(results, self._draw())

    def _draw(self) -> Scale:
        first: Any = self.scale
        if isinstance(first[0], (int, float)):
            low, high = self.ratio_range  # type: ignore[misc]
            ratio = np.random.random_sample() * (high - low) + low
            return int(first[0] * ratio), int(first[1] * ratio)
        longest, shortest = [max(one) for one in first], [min(one) for one in first]
        edges = [np.random.randint(min(pair), max(pair) + 1) for pair in (longest, shortest)]
        return int(edges[0]), int(edges[1])


@TRANSFORMS.register_module()
class RandomChoiceResize(_DrawnResize):
    """Resize to one of several sizes.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`, `homography_matrix`.
    Writes: `img`, `img_shape`, `scale`, `scale_factor`, `keep_ratio`, `scale_idx`.

    Args:
        scales: The sizes (w, h); a number stands for both.
        resize_type: Name of the transform that resizes.
        **resize_kwargs: Its further arguments, such as `keep_ratio`.
    """

    writes: ClassVar[tuple[str, ...]] = (*_DrawnResize.writes, "scale_idx")

    def __init__(
        self, scales: Sequence[int | Scale], resize_type: str = "Resize", **resize_kwargs: Any
    ) -> None:
        super().__init__(resize_type, resize_kwargs)
        if not isinstance(scales, (list, tuple)) or not scales:
            raise ConfigError(f"RandomChoiceResize needs a list of scales, but got {scales!r}")
        self.scales: list[Scale] = [(s, s) if isinstance(s, int) else tuple(s) for s in scales]

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample in one of the sizes."""
        choice = int(np.random.randint(len(self.scales)))
        results["scale_idx"] = choice
        return self._resized(results, self.scales[choice])
