"""Steps that several transforms take on the objects of a sample."""

from __future__ import annotations

from typing import Any

import numpy as np

PER_OBJECT = ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks", "gt_instances_ids")


def keep_objects(results: dict[str, Any], keep: np.ndarray) -> None:
    """Keep the objects where `keep` (N,) bool is true, under all keys that have one entry an object."""
    if keep.all():
        return
    for key in PER_OBJECT:
        if results.get(key) is not None:
            results[key] = results[key][keep]


def clip_boxes(boxes: np.ndarray, img_shape: tuple[int, int]) -> np.ndarray:
    """Boxes (N, 4) cut to an image of (h, w)."""
    height, width = img_shape
    return np.clip(boxes, 0, np.asarray([width, height, width, height], boxes.dtype))


def note_homography(results: dict[str, Any], matrix: np.ndarray) -> None:
    """Put a (3, 3) float32 step behind what `homography_matrix` already says."""
    before = results.get("homography_matrix")
    results["homography_matrix"] = matrix if before is None else matrix @ before


def shift_matrix(dx: float, dy: float) -> np.ndarray:
    """(3, 3) float32 translation."""
    return np.asarray([[1, 0, dx], [0, 1, dy], [0, 0, 1]], np.float32)
