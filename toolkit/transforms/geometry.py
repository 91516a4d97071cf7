"""What moving an image does to boxes, and to the matrix that says how it was moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def clip_boxes(boxes: np.ndarray, img_shape: Sequence[int]) -> np.ndarray:
    """Boxes (N, 4) cut to an image of (h, w)."""
    height, width = img_shape[:2]
    return np.clip(boxes, 0, np.asarray([width, height, width, height], boxes.dtype))


def note_homography(results: dict[str, Any], matrix: np.ndarray) -> None:
    """Put a (3, 3) float32 step behind what `homography_matrix` already says."""
    before = results.get("homography_matrix")
    results["homography_matrix"] = matrix if before is None else matrix @ before


def shift_matrix(dx: float, dy: float) -> np.ndarray:
    """(3, 3) float32 translation."""
    return np.asarray([[1, 0, dx], [0, 1, dy], [0, 0, 1]], np.float32)
