"""Checks of masks as COCO's files write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

FEW_POINTS = "polygons of fewer than three points, or that are no list of finite x and y"
RUN_SIZE = "run lengths of another size than their image's"
NO_MASK = "masks that are neither polygons nor run lengths"
_POINTS = 3


def usable_mask(segmentation: Any, height: int, width: int) -> tuple[Any, str | None]:
    """What of an object's `segmentation` can be used, and what is wrong with it.

    Args:
        segmentation: Polygons [[x1, y1, x2, y2, …], …], or run lengths {'size': [h, w], 'counts': …}, whose
            counts are a list or COCO's compressed text.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        The polygons that are sound, the run lengths, or None where nothing can be used; and the reason why
        something can't.
    """
    if isinstance(segmentation, list):
        sound = [polygon for polygon in segmentation if _is_polygon(polygon)]
        return sound or None, None if len(sound) == len(segmentation) else FEW_POINTS
    if not isinstance(segmentation, Mapping) or not {"size", "counts"} <= segmentation.keys():
        return None, NO_MASK
    size = segmentation["size"]
    try:
        total = _pixels(segmentation["counts"])
    except (TypeError, ValueError, OverflowError):
        return None, NO_MASK
    if not isinstance(size, (list, tuple)) or not all(type(side) is int for side in size):
        return None, NO_MASK
    if list(size) != [height, width] or total != height * width:
        return None, RUN_SIZE
    return segmentation, None


def _is_polygon(polygon: Any) -> bool:
    if not isinstance(polygon, list) or len(polygon) < 2 * _POINTS or len(polygon) % 2:
        return False
    try:
        return math.isfinite(sum(polygon))  # NaN and infinity survive a sum, and it runs in C
    except TypeError:
        return False


def _pixels(counts: Any) -> int:
    """How many pixels run lengths cover; -1 where one of them is negative."""
    if isinstance(counts, (str, bytes)):
        runs = _decompressed(counts.encode() if isinstance(counts, str) else counts)
    else:
        runs = np.asarray(counts)
        if runs.size and runs.dtype.kind not in "iu":
            raise ValueError("a run isn't a whole number")
    return int(runs.sum()) if not len(runs) or runs.min() >= 0 else -1


def _decompressed(text: bytes) -> np.ndarray:
    """The runs of COCO's compressed text: six-bit groups, differences from the second run before."""
    groups = np.frombuffer(text, np.uint8).astype(np.int64) - 48
    if not len(groups):
        return groups
    last = (groups & 0x20) == 0
    if not last[-1]:
        raise ValueError("the last run is cut off")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((groups & 0x1F) << (5 * place), starts)
    negative = (groups[ends] & 0x10) != 0
    values -= negative.astype(np.int64) << (5 * (ends - starts + 1))
    # from the fourth on, a run is written as its difference from the second before it
    runs = values.copy()
    runs[1::2] = np.cumsum(values[1::2])
    runs[2::2] = np.cumsum(values[2::2])
    return runs
