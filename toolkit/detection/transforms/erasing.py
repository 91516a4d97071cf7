"""Covering parts of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import keep_objects
from toolkit.transforms import BaseTransform
from toolkit.utils.errors import ConfigError

Pair = tuple[float, float]


def _count_range(name: str, count: int | Sequence[int]) -> tuple[int, int]:
    low, high = (count, count) if isinstance(count, int) else tuple(count)
    if not 0 <= low <= high:
        raise ConfigError(f"a number of parts is 0 or more, or two rising numbers, but {name}={count!r}")
    return low, high


@TRANSFORMS.register_module()
class CutOut(BaseTransform):
    """Cover random parts of the image with a colour; boxes and masks stay.

    DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout".

    Reads: `img`.
    Changes: none.
    Writes: `img`.

    Args:
        n_holes: Number of parts, or the fewest and the most.
        cutout_shape: (width, height) of a part in pixels, or a list of them to choose from.
        cutout_ratio: The same as parts of the image's sides; one of the two is given.
        fill_in: The colour.

    Raises:
        ConfigError: Not exactly one of shape and ratio is given, or a number doesn't fit.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(
        self,
        n_holes: int | tuple[int, int],
        cutout_shape: Pair | list[Pair] | None = None,
        cutout_ratio: Pair | list[Pair] | None = None,
        fill_in: Sequence[float] = (0, 0, 0),
    ) -> None:
        if (cutout_shape is None) == (cutout_ratio is None):
            raise ConfigError(
                f"CutOut takes cutout_shape or cutout_ratio, one of them, but got {cutout_shape=}, "
                f"{cutout_ratio=}."
            )
        self.n_holes = _count_range("n_holes", n_holes)
        self.fill_in = fill_in
        self.with_ratio = cutout_ratio is not None
        sizes: Any = cutout_shape if cutout_ratio is None else cutout_ratio
        self.candidates: list[Pair] = [sizes] if isinstance(sizes[0], (int, float)) else list(sizes)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with parts of its image covered."""
        image = results["img"].copy()
        height, width = image.shape[:2]
        for _ in range(np.random.randint(self.n_holes[0], self.n_holes[1] + 1)):
            left, top = np.random.randint(0, width), np.random.randint(0, height)
            across, down = self.candidates[np.random.randint(0, len(self.candidates))]
            if self.with_ratio:
                across, down = int(across * width), int(down * height)
            image[top : top + int(down), left : left + int(across)] = self.fill_in
        results["img"] = image
        return results


@TRANSFORMS.register_module()
class RandomErasing(BaseTransform):
    """Cover random parts of image, masks and semantic map, and leave out the objects that are mostly covered.

    Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`.

    Polygons become bitmaps.

    Args:
        n_patches: Number of parts, or the fewest and the most.
        ratio: Sides of a part as a part of the image's sides, or the least and the greatest.
        squared: Whether both sides have the same ratio.
        bbox_erased_thr: Objects covered to this part of their box are left out.
        img_border_value: What the image is covered with.
        mask_border_value: The same for masks.
        seg_ignore_label: The same for the semantic map.

    Raises:
        ConfigError: A number doesn't fit.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes",
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_instances_ids",
        "gt_seg_map",
    )
    writes: ClassVar[tuple[str, ...]] = ("img",)

    def __init__(
        self,
        n_patches: int | tuple[int, int],
        ratio: float | Pair,
        squared: bool = True,
        bbox_erased_thr: float = 0.9,
        img_border_value: float | Sequence[float] = 128,
        mask_border_value: int = 0,
        seg_ignore_label: int = 255,
    ) -> None:
        self.n_patches = _count_range("n_patches", n_patches)
        low, high = (ratio, ratio) if isinstance(ratio, (int, float)) else ratio
        if not 0 <= low <= high <= 1:
            raise ConfigError(
                f"RandomErasing got ratio={ratio}; it takes one number or two rising, from 0 to 1."
            )
        self.ratio = (low, high)
        self.squared = squared
        self.bbox_erased_thr = bbox_erased_thr
        self.img_border_value = img_border_value
        self.mask_border_value = mask_border_value
        self.seg_ignore_label = seg_ignore_label

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with parts covered."""
        patches = self._patches(*results["img"].shape[:2])
        results["img"] = _covered(results["img"], patches, self.img_border_value)
        boxes = results.get("gt_bboxes")
        if boxes is not None:
            keep_objects(results, _covered_part(boxes, patches) < self.bbox_erased_thr)
        masks = results.get("gt_masks")
        if masks is not None:
            bitmaps = masks.to_ndarray().copy()
            for left, top, right, bottom in patches:
                bitmaps[:, top:bottom, left:right] = self.mask_border_value
            results["gt_masks"] = BitmapMasks(bitmaps, masks.height, masks.width)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = _covered(results["gt_seg_map"], patches, self.seg_ignore_label)
        return results

    def _patches(self, height: int, width: int) -> np.ndarray:
        """(P, 4) int64 xyxy of the parts to cover."""
        low, high = self.ratio
        patches = []
        for _ in range(np.random.randint(self.n_patches[0], self.n_patches[1] + 1)):
            down = np.random.random() * (high - low) + low
            across = down if self.squared else np.random.random() * (high - low) + low
            patch_h, patch_w = int(height * down), int(width * across)
            left = np.random.randint(0, max(width - patch_w, 1))
            top = np.random.randint(0, max(height - patch_h, 1))
            patches.append((left, top, left + patch_w, top + patch_h))
        return np.asarray(patches, np.int64).reshape(-1, 4)


def _covered(array: np.ndarray, patches: np.ndarray, fill: Any) -> np.ndarray:
    """A copy of (H, W, …) with the parts filled."""
    covered = array.copy()
    for left, top, right, bottom in patches:
        covered[top:bottom, left:right] = fill
    return covered


def _covered_part(boxes: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """(N,) part of each box that lies under the patches; what lies under two of them counts twice."""
    corner = np.maximum(boxes[:, None, :2], patches[:, :2])
    sides = np.maximum(np.minimum(boxes[:, None, 2:], patches[:, 2:]) - corner, 0)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return sides.prod(axis=2).sum(axis=1) / (areas + 1e-7)
