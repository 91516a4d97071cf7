"""Masks of an image's objects, from the annotations of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.masks.convert import polygons_to_bitmaps
from toolkit.utils.errors import DataError

Shape = tuple[int, int]
# Three points are the least that a polygon has.
_LEAST_NUMBERS = 6


def load_masks(
    instances: Sequence[dict[str, Any]], shape: Shape, poly2mask: bool, results: Mapping[str, Any]
) -> BitmapMasks | PolygonMasks:
    """The masks of objects; one that has none gets `ignore_flag` 1 and an empty mask.

    Args:
        instances: Objects with `mask`: a (H, W) bitmap, polygons or COCO's run lengths.
        shape: (height, width) of the image.
        poly2mask: Whether masks become bitmaps, or polygons.
        results: The sample, to name it in an error.

    Raises:
        DataError: A mask isn't of the size of its image.
    """
    height, width = int(shape[0]), int(shape[1])
    polygons = [valid_polygons(instance.get("mask")) for instance in instances]
    if not poly2mask:
        for instance, parts in zip(instances, polygons, strict=True):
            if not parts:
                instance["ignore_flag"] = 1
        return PolygonMasks([parts or [np.zeros(_LEAST_NUMBERS)] for parts in polygons], height, width)
    bitmaps = np.zeros((len(instances), height, width), np.uint8)
    outlined = [place for place, parts in enumerate(polygons) if parts]
    if outlined:
        bitmaps[outlined] = polygons_to_bitmaps([polygons[place] for place in outlined], height, width)
    for place, instance in enumerate(instances):
        if not polygons[place] and not _take_raster(instance.get("mask"), bitmaps[place], results):
            instance["ignore_flag"] = 1
    return BitmapMasks(bitmaps, height, width)


def valid_polygons(mask: Any) -> list[np.ndarray]:
    """The polygons (x1, y1, x2, y2, …) of a list that have three points at least."""
    if not isinstance(mask, list):
        return []
    return [
        np.asarray(polygon, np.float64)
        for polygon in mask
        if len(polygon) >= _LEAST_NUMBERS and len(polygon) % 2 == 0
    ]


def _take_raster(mask: Any, out: np.ndarray, results: Mapping[str, Any]) -> bool:
    """Put a bitmap or run lengths into `out` (H, W); whether it was one of these."""
    if isinstance(mask, Mapping):
        counts, size = mask.get("counts"), mask.get("size")
        if not isinstance(counts, (list, str, bytes)) or size is None:
            return False
        _check_size(size, out.shape, results)
        from hotcoco import mask as coco_mask  # COCO's own rules, so that areas agree with its evaluation

        runs = coco_mask.frPyObjects(dict(mask), *out.shape) if isinstance(counts, list) else dict(mask)
        out[:] = coco_mask.decode(runs)
        return True
    if not isinstance(mask, np.ndarray):
        return False
    _check_size(mask.shape, out.shape, results)
    out[:] = mask != 0
    return True


def _check_size(size: Sequence[int], shape: Sequence[int], results: Mapping[str, Any]) -> None:
    if tuple(size) != tuple(shape):
        name = results.get("img_path", results.get("img_id"))
        raise DataError(
            f"a mask of {name!r} is {tuple(size)} (height, width), but its image is {tuple(shape)}; "
            "correct the "
            "annotation, or take the image out of the dataset"
        )
