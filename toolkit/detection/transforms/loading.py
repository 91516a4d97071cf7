"""From a dataset's annotations to arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import keep_objects
from toolkit.detection.transforms.mask_loading import load_masks
from toolkit.transforms import BaseTransform, read_image
from toolkit.utils.errors import ConfigError


@TRANSFORMS.register_module()
class LoadAnnotations(BaseTransform):
    """Make arrays of the `instances` that the dataset gave.

    Reads: `instances`.
    Changes: none.
    Writes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_seg_map`, `ignore_index`.

    `instances` is a list of dicts with `bbox`, `bbox_label`, `ignore_flag` and `mask`. With masks, the size
    of
    the image is that of `ori_shape`, or `height` and `width`; with a semantic map, `seg_map_path` names its
    file and `label_map` says which of its values stands for which label.

    A mask is a (H, W) bitmap, a list of polygons [x1, y1, x2, y2, …], or COCO's run lengths, compressed or
    not. An object whose mask is none of these, or has no polygon of three points, gets `ignore_flag` 1 and an
    empty mask.

    Args:
        with_mask: Whether to load masks.
        poly2mask: Whether masks become bitmaps; if not, they are polygons, and objects with another kind of
            mask are ignored.
        box_type: MMDetection's name of the class of boxes. Boxes are plain arrays here, whatever it says.
        reduce_zero_label: Whether label 0 of the semantic map is ignored and the others count from 0.
        ignore_index: What ignored pixels of the semantic map become.
        with_bbox: Whether to load boxes and ignore flags.
        with_label: Whether to load labels.
        with_seg: Whether to load the semantic map.
        with_keypoints: MMCV's; there are no keypoints here, so that only False is taken.
        imdecode_backend: 'cv2' or 'pillow', for the semantic map.
        file_client_args: The older spelling of `backend_args`.
        backend_args: Options for reading remote files.

    Raises:
        ConfigError: An option that isn't supported.
        DataError: A semantic map can't be read, or a mask isn't of the size of its image.
    """

    reads: ClassVar[tuple[str, ...]] = ("instances",)
    writes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes",
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_seg_map",
        "ignore_index",
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
        with_keypoints: bool = False,
        imdecode_backend: str = "cv2",
        file_client_args: Mapping[str, Any] | None = None,
        *,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        if box_type not in ("hbox", None):
            raise ConfigError(f"LoadAnnotations got box_type={box_type!r}; boxes are 'hbox' (upright).")
        if with_keypoints:
            raise ConfigError(
                "LoadAnnotations got with_keypoints=True; keypoints aren't supported: leave it out."
            )
        if imdecode_backend not in ("cv2", "pillow"):
            raise ConfigError(
                f"LoadAnnotations got imdecode_backend={imdecode_backend!r}; it decodes with 'cv2' or "
                "'pillow'."
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
        self.backend_args = backend_args if backend_args is not None else file_client_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the arrays to `results`."""
        instances = results.get("instances", [])
        if self.with_mask:
            results["gt_masks"] = load_masks(instances, _shape_of(results), self.poly2mask, results)
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
            results["ignore_index"] = self.ignore_index
        return results

    def _seg_map(self, results: dict[str, Any]) -> np.ndarray:
        seg_map = read_image(
            results["seg_map_path"], "unchanged", self.imdecode_backend, self.backend_args
        ).squeeze()
        if self.reduce_zero_label:
            results["reduce_zero_label"] = True
            ignored = (seg_map == 0) | (seg_map == self.ignore_index)
            seg_map = np.where(ignored, self.ignore_index, seg_map - np.uint8(1)).astype(np.uint8)
        if results.get("label_map") is not None:
            renamed = seg_map.copy()
            for old, new in results["label_map"].items():
                renamed[seg_map == old] = new
            seg_map = renamed
        return seg_map


def _shape_of(results: Mapping[str, Any]) -> tuple[int, int]:
    return results.get("ori_shape") or (results["height"], results["width"])


@TRANSFORMS.register_module()
class FilterAnnotations(BaseTransform):
    """Leave out objects that are too small; drop the sample where none is left.

    Reads: `gt_bboxes`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`.
    Writes: `gt_bboxes`.

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
    changes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_instances_ids",
    )
    writes: ClassVar[tuple[str, ...]] = ("gt_bboxes",)

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
