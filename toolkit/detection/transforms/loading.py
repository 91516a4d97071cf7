"""From a dataset's annotations to arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import keep_objects
from toolkit.transforms import BaseTransform, read_image


@TRANSFORMS.register_module()
class LoadAnnotations(BaseTransform):
    """Make arrays of the `instances` that the dataset gave.

    Reads: `instances` (a list of dicts with `bbox`, `bbox_label`, `ignore_flag` and `mask`), `ori_shape` or
    `height` and `width` with masks, `seg_map_path` with a semantic map.

    Writes: `gt_bboxes` (N, 4) float32, `gt_bboxes_labels` (N,) int64, `gt_ignore_flags` (N,) bool,
    `gt_masks` BitmapMasks, `gt_seg_map` (H, W) uint8.

    A mask is a (H, W) bitmap, a list of polygons [x1, y1, x2, y2, …], or COCO's run lengths. An object whose
    mask isn't any of these gets `ignore_flag` 1 and an empty mask.

    Args:
        with_mask: Whether to load masks.
        poly2mask: Whether polygons become bitmaps; other masks don't exist yet.
        box_type: MMDetection's name of the class of boxes. Boxes are plain arrays here, whatever it says.
        reduce_zero_label: Whether label 0 of the semantic map is ignored and the others count from 0.
        ignore_index: What ignored pixels of the semantic map become.
        with_bbox: Whether to load boxes and ignore flags.
        with_label: Whether to load labels.
        with_seg: Whether to load the semantic map.
        imdecode_backend: 'cv2'.
        backend_args: Options for reading remote files.

    Raises:
        ValueError: An option that isn't supported.
        DataError: A semantic map can't be read.
    """

    reads: ClassVar[tuple[str, ...]] = ("instances",)
    writes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes",
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_seg_map",
    )

    def __init__(
        self,
        with_mask: bool = False,
        poly2mask: bool = True,
        box_type: str | None = "hbox",
        reduce_zero_label: bool = False,
        ignore_index: int = 255,
        with_bbox: bool = True,
        with_label: bool = True,
        with_seg: bool = False,
        imdecode_backend: str = "cv2",
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        if with_mask and not poly2mask:
            raise ValueError("LoadAnnotations makes bitmaps of all masks: leave poly2mask=True.")
        if box_type not in ("hbox", None):
            raise ValueError(f"LoadAnnotations got box_type={box_type!r}; boxes are 'hbox' (upright).")
        if imdecode_backend != "cv2":
            raise ValueError(
                f"LoadAnnotations got imdecode_backend={imdecode_backend!r}; it decodes with 'cv2'."
            )
        self.with_mask = with_mask
        self.poly2mask = poly2mask
        self.box_type = box_type
        self.reduce_zero_label = reduce_zero_label
        self.ignore_index = ignore_index
        self.with_bbox = with_bbox
        self.with_label = with_label
        self.with_seg = with_seg
        self.imdecode_backend = imdecode_backend
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the arrays to `results`."""
        instances = results.get("instances", [])
        if self.with_mask:
            results["gt_masks"] = self._masks(instances, results)
        if self.with_bbox:
            boxes = [instance["bbox"] for instance in instances]
            results["gt_bboxes"] = np.asarray(boxes, np.float32).reshape(-1, 4)
        if self.with_label:
            labels = [instance["bbox_label"] for instance in instances]
            results["gt_bboxes_labels"] = np.asarray(labels, np.int64)
        if self.with_bbox or self.with_mask:
            flags = [instance["ignore_flag"] for instance in instances]
            results["gt_ignore_flags"] = np.asarray(flags, bool)
        if self.with_seg and results.get("seg_map_path") is not None:
            results["gt_seg_map"] = self._seg_map(results)
        return results

    def _masks(self, instances: Sequence[dict[str, Any]], results: Mapping[str, Any]) -> BitmapMasks:
        height, width = results.get("ori_shape") or (results["height"], results["width"])
        masks = []
        for instance in instances:
            mask = decode_mask(instance.get("mask"), height, width)
            if mask is None:
                instance["ignore_flag"] = 1
                mask = np.zeros((height, width), np.uint8)
            masks.append(mask)
        return BitmapMasks(masks, height, width)

    def _seg_map(self, results: dict[str, Any]) -> np.ndarray:
        seg_map = read_image(results["seg_map_path"], "unchanged", backend_args=self.backend_args).squeeze()
        if self.reduce_zero_label:
            results["reduce_zero_label"] = True
            ignored = (seg_map == 0) | (seg_map == self.ignore_index)
            seg_map = np.where(ignored, self.ignore_index, seg_map - np.uint8(1)).astype(np.uint8)
        results["ignore_index"] = self.ignore_index
        return seg_map


def decode_mask(mask: Any, height: int, width: int) -> np.ndarray | None:
    """A (H, W) uint8 bitmap of a bitmap, of polygons or of COCO's run lengths; None of anything else."""
    if isinstance(mask, np.ndarray):
        return mask if mask.shape == (height, width) else None
    from hotcoco import mask as coco_mask  # COCO's own raster rules, so that areas agree with its evaluation

    if isinstance(mask, list):
        polygons = [polygon for polygon in mask if len(polygon) >= 6 and len(polygon) % 2 == 0]
        if not polygons:
            return None
        runs = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    elif isinstance(mask, Mapping) and isinstance(mask.get("counts"), (list, str, bytes)) and "size" in mask:
        counts_listed = isinstance(mask["counts"], list)
        runs = coco_mask.frPyObjects(dict(mask), height, width) if counts_listed else dict(mask)
    else:
        return None
    return np.asarray(coco_mask.decode(runs), np.uint8)


@TRANSFORMS.register_module()
class FilterAnnotations(BaseTransform):
    """Leave out objects that are too small; drop the sample where none is left.

    Reads: `gt_bboxes`, `gt_masks` with `by_mask`. Changes: all keys with one entry an object.

    Args:
        min_gt_bbox_wh: A box must be wider and higher than this, in pixels.
        min_gt_mask_area: A mask must have at least this many pixels.
        by_box: Whether to look at boxes.
        by_mask: Whether to look at masks.
        keep_empty: Whether a sample without any object left is dropped (MMDetection's name means the opposite
            of what it does; its behaviour is kept).

    Raises:
        ValueError: Neither boxes nor masks are looked at.
    """

    reads: ClassVar[tuple[str, ...]] = ("gt_bboxes",)
    writes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks")

    def __init__(
        self,
        min_gt_bbox_wh: tuple[float, float] = (1, 1),
        min_gt_mask_area: int = 1,
        by_box: bool = True,
        by_mask: bool = False,
        keep_empty: bool = True,
    ) -> None:
        if not (by_box or by_mask):
            raise ValueError("FilterAnnotations needs by_box=True or by_mask=True.")
        self.min_gt_bbox_wh = min_gt_bbox_wh
        self.min_gt_mask_area = min_gt_mask_area
        self.by_box = by_box
        self.by_mask = by_mask
        self.keep_empty = keep_empty

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample with what passes, or None."""
        boxes = results["gt_bboxes"]
        if not len(boxes):
            return results
        keep = np.ones(len(boxes), bool)
        if self.by_box:
            keep &= ((boxes[:, 2:] - boxes[:, :2]) > np.asarray(self.min_gt_bbox_wh)).all(axis=1)
        if self.by_mask:
            keep &= results["gt_masks"].areas >= self.min_gt_mask_area
        if not keep.any() and self.keep_empty:
            return None
        keep_objects(results, keep)
        return results
