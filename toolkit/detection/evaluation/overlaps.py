"""IoU in NumPy, in double precision."""

from __future__ import annotations

import numpy as np


def box_areas(boxes: np.ndarray, extra: float = 0.0) -> np.ndarray:
    """Areas of xyxy boxes (N, 4); `extra` is 1 where corners are whole pixels that belong to the box."""
    boxes = boxes.astype(np.float64, copy=False)
    return (boxes[:, 2] - boxes[:, 0] + extra) * (boxes[:, 3] - boxes[:, 1] + extra)


def paired_ious(first: np.ndarray, second: np.ndarray, extra: float = 0.0) -> np.ndarray:
    """IoU of each box with the one in the same row.

    Args:
        first: (N, 4) xyxy.
        second: (N, 4) xyxy.
        extra: Added to widths and heights: 1 for VOC's inclusive pixel coordinates.

    Returns:
        (N,) float64; 0 where both boxes are empty.
    """
    first, second = first.astype(np.float64, copy=False), second.astype(np.float64, copy=False)
    sides = np.minimum(first[:, 2:4], second[:, 2:4]) - np.maximum(first[:, :2], second[:, :2]) + extra
    shared = np.prod(np.maximum(sides, 0), axis=1)
    union = box_areas(first, extra) + box_areas(second, extra) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def pairwise_ious(first: np.ndarray, second: np.ndarray, extra: float = 0.0) -> np.ndarray:
    """IoU of each of N boxes with each of M: (N, M) float64. See `paired_ious`."""
    count = len(first), len(second)
    rows, columns = np.divmod(np.arange(count[0] * count[1]), max(count[1], 1))
    return paired_ious(first[rows], second[columns], extra).reshape(count)
