"""Steps that several transforms take on the objects of a sample.

Shapes: N boxes (N, 4) float32 xyxy; a matrix (3, 3) moves a point (x, y) to `matrix @ (x, y, 1)`.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def join_objects(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The objects of several images of one size, as one image's, under all keys that every part has."""
    joined: dict[str, Any] = {}
    for key in PER_OBJECT:
        values: list[Any] = [part.get(key) for part in parts]
        if any(value is None for value in values):
            continue
        if key == "gt_masks":
            joined[key] = type(values[0]).cat(values)
        else:
            joined[key] = np.concatenate(values)
    return joined


def inside_image(boxes: np.ndarray, img_shape: Sequence[int]) -> np.ndarray:
    """(N,) bool: which boxes (N, 4) reach into an image of (h, w)."""
    height, width = img_shape[:2]
    return (boxes[:, 0] < width) & (boxes[:, 1] < height) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)


def project_boxes(boxes: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The upright boxes around the corners of boxes (N, 4) that a matrix (3, 3) has moved."""
    corners = boxes[:, [0, 1, 2, 1, 0, 3, 2, 3]].reshape(-1, 4, 2)
    homogeneous = np.concatenate([corners, np.ones_like(corners[..., :1])], axis=-1)
    moved = homogeneous @ matrix.astype(np.float32).T
    moved = moved[..., :2] / moved[..., 2:]
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)
