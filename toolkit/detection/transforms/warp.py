"""Moving all that is on an image: by one affine matrix, or onto a canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from toolkit.detection.transforms.instances import project_boxes
from toolkit.transforms.geometry import clip_boxes, note_homography
from toolkit.transforms.image_ops import INTERPOLATIONS, impad

# Channels that OpenCV's warpAffine fills with one value each.
_BORDER_CHANNELS = 4


def warp_image(
    image: np.ndarray, matrix: np.ndarray, shape: Sequence[int], fill: Any, interpolation: str = "bilinear"
) -> np.ndarray:
    """An image (H, W) or (H, W, C) whose points a matrix (2, 3) has moved, on a canvas of `shape` (h, w).

    Args:
        image: At most four channels where `fill` has one value a channel.
        matrix: From old coordinates to new ones.
        shape: (height, width) of the result.
        fill: What was outside: a number, or one a channel.
        interpolation: nearest, bilinear, bicubic, area or lanczos.
    """
    if isinstance(fill, (int, float)):
        fill = (fill,) * _BORDER_CHANNELS
    warped = cv2.warpAffine(
        image,
        matrix,
        (shape[1], shape[0]),
        flags=INTERPOLATIONS[interpolation],
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
    return warped[..., None] if warped.ndim < image.ndim else warped


def on_canvas(image: np.ndarray, shape: Sequence[int], corner: Sequence[int], fill: Any) -> np.ndarray:
    """An image (H, W[, C]) put onto a canvas of `shape` (h, w), its corner at (top, left).

    `fill` is a number, or one a channel; fractions are cut off where the image is of whole numbers.
    """
    if np.issubdtype(image.dtype, np.integer):
        fill = int(fill) if isinstance(fill, (int, float)) else [int(value) for value in fill]
    top, left = corner
    below, right = shape[0] - top - image.shape[0], shape[1] - left - image.shape[1]
    return impad(image, padding=(left, top, right, below), pad_val=fill)


def warp_sample(
    results: dict[str, Any],
    matrix: np.ndarray,
    shape: Sequence[int],
    *,
    fill: Any = 0,
    mask_fill: int = 0,
    seg_fill: int = 255,
    interpolation: str = "bilinear",
    clip: bool = True,
) -> None:
    """Move image, boxes, masks and semantic map of a sample; all objects stay.

    Args:
        results: The sample.
        matrix: (3, 3), from old coordinates to new ones; its last row is (0, 0, 1).
        shape: (height, width) of the canvas.
        fill: What the image gets where nothing was; a number, or one a channel.
        mask_fill: The same for masks.
        seg_fill: The same for the semantic map.
        interpolation: Of image and masks; that of the semantic map is 'nearest'.
        clip: Whether boxes are cut to the canvas.
    """
    affine = np.asarray(matrix[:2], np.float64)
    shape = (int(shape[0]), int(shape[1]))
    results["img"] = warp_image(results["img"], affine, shape, fill, interpolation)
    results["img_shape"] = shape
    note_homography(results, np.asarray(matrix, np.float32))
    if results.get("gt_bboxes") is not None:
        boxes = project_boxes(results["gt_bboxes"], matrix)
        results["gt_bboxes"] = clip_boxes(boxes, shape) if clip else boxes
    if results.get("gt_masks") is not None:
        results["gt_masks"] = results["gt_masks"].warp(affine, shape, mask_fill, interpolation)
    if results.get("gt_seg_map") is not None:
        results["gt_seg_map"] = warp_image(results["gt_seg_map"], affine, shape, seg_fill, "nearest")
