"""From polygons to bitmaps, from bitmaps to polygons, and boxes of bitmaps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

Polygons = Sequence[np.ndarray]


def polygon_to_bitmap(polygons: Polygons, height: int, width: int) -> np.ndarray:
    """The union of polygons, each (x1, y1, x2, y2, …), as a (height, width) bool bitmap by COCO's rules."""
    return polygons_to_bitmaps([polygons], height, width)[0].astype(bool)


def polygons_to_bitmaps(objects: Sequence[Polygons], height: int, width: int) -> np.ndarray:
    """The unions of each object's polygons as (N, height, width) uint8 bitmaps by COCO's rules."""
    if not len(objects):
        return np.zeros((0, height, width), np.uint8)
    from hotcoco import mask as coco_mask

    flat = [polygon.tolist() for polygons in objects for polygon in polygons]
    runs = coco_mask.frPyObjects(flat, height, width)
    merged, start = [], 0
    for polygons in objects:
        own = runs[start : start + len(polygons)]
        merged.append(own[0] if len(own) == 1 else coco_mask.merge(own))
        start += len(polygons)
    return np.ascontiguousarray(np.asarray(coco_mask.decode(merged), np.uint8).transpose(2, 0, 1))


def bitmap_to_polygon(bitmap: np.ndarray) -> tuple[list[np.ndarray], bool]:
    """The contours of a (H, W) bitmap, each (n, 2) points x, y; and whether any of them is that of a hole."""
    pixels = np.ascontiguousarray(bitmap).astype(np.uint8)
    contours, hierarchy = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if hierarchy is None:
        return [], False
    # the last number of a contour's row is its parent: only holes have one
    return [one.reshape(-1, 2) for one in contours], bool((hierarchy.reshape(-1, 4)[:, 3] >= 0).any())


def mask2bbox(masks: Tensor) -> Tensor:
    """Extents (N, 4) float32 of masks (N, H, W), right and lower edge exclusive; zeros for an empty mask."""
    columns, rows = masks.bool().any(dim=1), masks.bool().any(dim=2)
    left, right = _ends(columns)
    top, bottom = _ends(rows)
    found = columns.any(dim=1, keepdim=True)
    return torch.stack((left, top, right, bottom), dim=1) * found


def _ends(flags: Tensor) -> tuple[Tensor, Tensor]:
    """The first set place of each row (N, L), and the one after the last; float32."""
    length = flags.size(1)
    if not length:
        return flags.new_zeros(len(flags), dtype=torch.float32), flags.new_zeros(len(flags)).float()
    first = flags.byte().argmax(dim=1)
    last = length - flags.flip(1).byte().argmax(dim=1)
    return first.float(), last.float()
