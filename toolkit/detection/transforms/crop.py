"""Random parts of an image, and random margins around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import inside_image, keep_objects
from toolkit.detection.transforms.warp import on_canvas
from toolkit.transforms import BaseTransform
from toolkit.transforms.geometry import clip_boxes, note_homography, shift_matrix

CROP_TYPES = ("relative_range", "relative", "absolute", "absolute_range")


def _cut(results: dict[str, Any], region: tuple[int, int, int, int], clip: bool) -> None:
    """Cut image, boxes, masks and semantic map of a sample to (x1, y1, x2, y2); all objects stay."""
    left, top, right, bottom = region
    image = results["img"][top:bottom, left:right]
    results["img"], results["img_shape"] = image, image.shape[:2]
    note_homography(results, shift_matrix(-left, -top))
    if results.get("gt_bboxes") is not None:
        boxes = results["gt_bboxes"] - np.asarray([left, top, left, top], np.float32)
        results["gt_bboxes"] = clip_boxes(boxes, image.shape[:2]) if clip else boxes
    if results.get("gt_masks") is not None:
        results["gt_masks"] = results["gt_masks"].crop(region)
    if results.get("gt_seg_map") is not None:
        results["gt_seg_map"] = results["gt_seg_map"][top:bottom, left:right]


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """Cut a random part out of the image.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Objects outside are left out.

    Args:
        crop_size: (width, height) in pixels or relative to the image, as `crop_type` says.
        crop_type: 'absolute' cuts `crop_size` pixels, or less where the image is smaller; 'absolute_range'
            draws both sides from crop_size[0] to crop_size[1] pixels; 'relative' cuts that part of each
            side; 'relative_range' draws the part of each side from `crop_size` to 1.
        allow_negative_crop: Whether a part without any object is kept. If not, the sample is dropped.
        recompute_bbox: Whether boxes are made anew from the masks that were cut.
        bbox_clip_border: Whether boxes are cut to the part.

    Raises:
        ValueError: Unknown `crop_type`, or a size that doesn't fit it.
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
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "homography_matrix")

    def __init__(
        self,
        crop_size: tuple[float, float],
        crop_type: str = "absolute",
        allow_negative_crop: bool = False,
        recompute_bbox: bool = False,
        bbox_clip_border: bool = True,
    ) -> None:
        if crop_type not in CROP_TYPES:
            raise ValueError(
                f"RandomCrop got crop_type={crop_type!r}; it takes one of {', '.join(CROP_TYPES)}."
            )
        low, high = min(crop_size), max(crop_size)
        if crop_type.startswith("relative"):
            fits, need = low > 0 and high <= 1, "parts of the sides, above 0 and at most 1"
        else:
            whole = all(isinstance(value, int) for value in crop_size)
            rising = crop_type == "absolute" or crop_size[0] <= crop_size[1]
            fits, need = whole and rising and low > 0, "whole pixels (for 'absolute_range' the smaller first)"
        if not fits:
            raise ValueError(
                f"RandomCrop got crop_size={crop_size}; with crop_type={crop_type!r} it is {need}."
            )
        self.crop_size = crop_size
        self.crop_type = crop_type
        self.allow_negative_crop = allow_negative_crop
        self.recompute_bbox = recompute_bbox
        self.bbox_clip_border = bbox_clip_border

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The part of the sample, or None where it holds no object."""
        height, width = results["img"].shape[:2]
        crop_h, crop_w = self._size(height, width)
        top = int(np.random.randint(0, max(height - crop_h, 0) + 1))
        left = int(np.random.randint(0, max(width - crop_w, 0) + 1))
        right, bottom = min(left + crop_w, width), min(top + crop_h, height)
        _cut(results, (left, top, right, bottom), self.bbox_clip_border)
        boxes = results.get("gt_bboxes")
        if boxes is None:
            return results
        inside = inside_image(boxes, results["img_shape"])
        if not inside.any() and not self.allow_negative_crop:
            return None
        keep_objects(results, inside)
        if self.recompute_bbox and results.get("gt_masks") is not None:
            results["gt_bboxes"] = results["gt_masks"].get_bboxes()
        return results

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width to cut."""
        first, second = self.crop_size
        if self.crop_type == "absolute":
            return min(int(second), height), min(int(first), width)
        if self.crop_type == "absolute_range":
            low, high = int(first), int(second)
            crop_h = np.random.randint(min(height, low), min(height, high) + 1)
            crop_w = np.random.randint(min(width, low), min(width, high) + 1)
            return int(crop_h), int(crop_w)
        if self.crop_type == "relative":
            return int(height * second + 0.5), int(width * first + 0.5)
        # crop_size is (height, width) here alone: MMDetection has it so, and configs rely on it
        part_h, part_w = np.asarray(self.crop_size) + np.random.rand(2) * (1 - np.asarray(self.crop_size))
        return int(height * part_h + 0.5), int(width * part_w + 0.5)


@TRANSFORMS.register_module()
class MinIoURandomCrop(BaseTransform):
    """Cut a random part that overlaps every object by a random least IoU, or leave the image whole.

    Objects whose centre is outside the part are left out. Liu et al., "SSD: Single Shot MultiBox Detector",
    ECCV 2016, section 2.2.

    Reads: `img`, `gt_bboxes`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `gt_bboxes`, `homography_matrix`.

    Args:
        min_ious: IoUs to choose from, beside none at all and leaving the image whole.
        min_crop_size: Smallest part of each side.
        bbox_clip_border: Whether boxes are cut to the part.
    """

    reads: ClassVar[tuple[str, ...]] = ("img", "gt_bboxes")
    changes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_instances_ids",
        "gt_seg_map",
    )
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "gt_bboxes", "homography_matrix")

    def __init__(
        self,
        min_ious: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        min_crop_size: float = 0.3,
        bbox_clip_border: bool = True,
    ) -> None:
        self.min_ious = tuple(min_ious)
        self.sample_mode = (1, *self.min_ious, 0)
        self.min_crop_size = min_crop_size
        self.bbox_clip_border = bbox_clip_border

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The part of the sample."""
        height, width = results["img"].shape[:2]
        boxes = results["gt_bboxes"]
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        while True:
            least = np.random.choice(self.sample_mode)
            if least == 1:
                return results
            for _ in range(50):
                region = self._region(height, width)
                if region is None:
                    continue
                if not len(boxes):
                    _cut(results, region, self.bbox_clip_border)
                    return results
                if _overlap(region, boxes).min() < least:
                    continue
                inside = ((centers > region[:2]) & (centers < region[2:])).all(axis=1)
                if inside.any():
                    keep_objects(results, inside)
                    _cut(results, region, self.bbox_clip_border)
                    return results

    def _region(self, height: int, width: int) -> tuple[int, int, int, int] | None:
        """A random (x1, y1, x2, y2), or None where it is too long or too thin."""
        new_w = np.random.uniform(self.min_crop_size * width, width)
        new_h = np.random.uniform(self.min_crop_size * height, height)
        if not 0.5 <= new_h / new_w <= 2:
            return None
        left = np.random.uniform(0, width - new_w)
        top = np.random.uniform(0, height - new_h)
        region = int(left), int(top), int(left + new_w), int(top + new_h)
        return None if region[0] == region[2] or region[1] == region[3] else region


def _overlap(region: tuple[int, int, int, int], boxes: np.ndarray) -> np.ndarray:
    """(N,) IoU of a region with boxes (N, 4)."""
    area = np.asarray(region, np.float32)
    sides = np.minimum(area[2:], boxes[:, 2:]) - np.maximum(area[:2], boxes[:, :2])
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = np.prod(area[2:] - area[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
    return shared / np.maximum(union, 1e-6)


@TRANSFORMS.register_module()
class Expand(BaseTransform):
    """Put the image at a random place on a larger canvas, so that objects become small.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Args:
        mean: Colour of the canvas.
        to_rgb: Whether `mean` is in RGB order (the image is BGR).
        ratio_range: Smallest and largest ratio of the canvas's sides to the image's.
        seg_ignore_label: Value of the canvas in the semantic map.
        prob: Probability of doing it at all.

    Raises:
        ValueError: There is a semantic map, but no `seg_ignore_label`.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map")
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "homography_matrix")

    def __init__(
        self,
        mean: Sequence[float] = (0, 0, 0),
        to_rgb: bool = True,
        ratio_range: Sequence[float] = (1, 4),
        seg_ignore_label: int | None = None,
        prob: float = 0.5,
    ) -> None:
        self.to_rgb = to_rgb
        self.mean = tuple(mean)[::-1] if to_rgb else tuple(mean)
        self.ratio_range = ratio_range
        self.min_ratio, self.max_ratio = ratio_range
        self.seg_ignore_label = seg_ignore_label
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample on its canvas, or as it was."""
        if np.random.uniform(0, 1) > self.prob:
            return results
        image = results["img"]
        height, width = image.shape[:2]
        ratio = np.random.uniform(self.min_ratio, self.max_ratio)
        size = int(height * ratio), int(width * ratio)
        left = int(np.random.uniform(0, width * ratio - width))
        top = int(np.random.uniform(0, height * ratio - height))
        results["img"] = on_canvas(image, size, (top, left), self.mean)
        results["img_shape"] = size
        note_homography(results, shift_matrix(left, top))
        if results.get("gt_bboxes") is not None:
            results["gt_bboxes"] = results["gt_bboxes"] + np.asarray([left, top, left, top], np.float32)
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].expand(*size, top, left)
        if results.get("gt_seg_map") is not None:
            if self.seg_ignore_label is None:
                raise ValueError("Expand meets a semantic map: set seg_ignore_label (255 as a rule).")
            seg_map = results["gt_seg_map"]
            results["gt_seg_map"] = on_canvas(seg_map, size, (top, left), self.seg_ignore_label)
        return results
