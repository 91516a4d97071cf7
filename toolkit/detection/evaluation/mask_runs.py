"""COCO's run lengths of bitmaps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from toolkit.detection.evaluation.arrays import as_array


def encode_masks(masks: Any) -> list[dict[str, Any]]:
    """COCO's run lengths of N masks.

    Args:
        masks: (N, H, W) tensor or array, `BitmapMasks`, or a sequence of run lengths, which stay as they are.
    """
    if hasattr(masks, "to_ndarray"):
        masks = masks.to_ndarray()
    if not (hasattr(masks, "detach") or isinstance(masks, np.ndarray)):
        return [{**mask, "counts": as_text(mask["counts"])} for mask in masks]
    bitmaps = np.ascontiguousarray(as_array(masks, tuple(masks.shape)))
    bitmaps = bitmaps.view(np.uint8) if bitmaps.dtype == bool else bitmaps.astype(np.uint8)
    return [_encode(bitmap) for bitmap in bitmaps]


def as_text(counts: Any) -> Any:
    """Counts as JSON can hold them."""
    return counts.decode() if isinstance(counts, bytes) else counts


def _encode(bitmap: np.ndarray) -> dict[str, Any]:
    """The run lengths of a (H, W) uint8 bitmap; only its box is looked at, since most of it is empty."""
    from hotcoco import mask as coco_mask

    height, width = bitmap.shape
    left, top, box_width, box_height = cv2.boundingRect(bitmap)
    # columns of the box, with an empty pixel before and after each, so that every run begins and ends in one
    columns = np.zeros((box_width, box_height + 2), bool)
    columns[:, 1:-1] = bitmap[top : top + box_height, left : left + box_width].T
    column, row = np.nonzero(columns[:, 1:] != columns[:, :-1])
    ends = (left + column) * height + top + row  # beginning and end of each run by turns, counted by columns
    if box_height == height and len(ends):
        # a run that reaches the bottom goes on where the next column begins with one
        joined = np.flatnonzero(ends[1:-1:2] == ends[2::2])
        ends = np.delete(ends, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    counts = np.diff(np.concatenate([[0], ends, [height * width]]))
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    runs: Any = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": as_text(runs["counts"])}
