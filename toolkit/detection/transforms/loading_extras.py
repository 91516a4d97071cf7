"""Proposals, empty annotations, and panoptic ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.loading import LoadAnnotations
from toolkit.transforms import BaseTransform, read_image
from toolkit.utils.errors import DataError

# What no segment covers.
_VOID = 255


@TRANSFORMS.register_module()
class LoadProposals(BaseTransform):
    """Make arrays of the proposals that the dataset gave.

    Reads: `proposals`.
    Changes: none.
    Writes: `proposals`, `proposals_scores`.

    They come as `InstanceData` or as a dict with `bboxes` (N, 4) and, where there are any, `scores` (N,).
    Afterwards `proposals` is (N, 4) float32 and `proposals_scores` (N,) float32, 0 where none were given.

    Args:
        num_max_proposals: The first so many are kept (they come best first).

    Raises:
        DataError: They aren't boxes, or boxes and scores differ in number.
    """

    reads: ClassVar[tuple[str, ...]] = ("proposals",)
    writes: ClassVar[tuple[str, ...]] = ("proposals", "proposals_scores")

    def __init__(self, num_max_proposals: int | None = None) -> None:
        self.num_max_proposals = num_max_proposals

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its proposals as arrays."""
        given = results["proposals"]
        boxes = np.asarray(given["bboxes"], np.float32)
        boxes = boxes.reshape(0, 4) if not boxes.size else boxes
        scores = given["scores"] if "scores" in given else np.zeros(len(boxes))
        scores = np.asarray(scores, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or len(scores) != len(boxes):
            raise DataError(
                f"proposals of {results.get('img_path')!r} have boxes of shape {boxes.shape} and "
                f"{len(scores)} "
                "scores; they need (N, 4) and N"
            )
        results["proposals"] = boxes[: self.num_max_proposals]
        results["proposals_scores"] = scores[: self.num_max_proposals]
        return results


@TRANSFORMS.register_module()
class LoadEmptyAnnotations(BaseTransform):
    """Annotations of an image without objects, for images that have no label.

    Reads: none.
    Changes: none.
    Writes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_seg_map`.

    Args:
        with_bbox: Whether to write boxes and ignore flags.
        with_label: Whether to write labels.
        with_mask: Whether to write masks.
        with_seg: Whether to write a semantic map.
        seg_ignore_label: What the semantic map is filled with.
    """

    writes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes",
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_seg_map",
    )

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        with_mask: bool = False,
        with_seg: bool = False,
        seg_ignore_label: int = 255,
    ) -> None:
        self.with_bbox = with_bbox
        self.with_label = with_label
        self.with_mask = with_mask
        self.with_seg = with_seg
        self.seg_ignore_label = seg_ignore_label

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, without any object."""
        if self.with_bbox:
            results["gt_bboxes"] = np.zeros((0, 4), np.float32)
            results["gt_ignore_flags"] = np.zeros(0, bool)
        if self.with_label:
            results["gt_bboxes_labels"] = np.zeros(0, np.int64)
        if self.with_mask:
            results["gt_masks"] = BitmapMasks([], *results["img_shape"])
        if self.with_seg:
            results["gt_seg_map"] = np.full(results["img_shape"], self.seg_ignore_label, np.uint8)
        return results


@TRANSFORMS.register_module()
class LoadPanopticAnnotations(LoadAnnotations):
    """Load boxes, labels, masks of things and the semantic map of COCO's panoptic annotations.

    Reads: `instances`.
    Changes: none.
    Writes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_seg_map`.

    `seg_map_path` names a PNG whose colour is the number of a segment (R + 256 G + 65536 B), and
    `segments_info` says of each number (`id`) its `category` and whether it `is_thing`. Masks are those of
    the
    things, in that order; the semantic map (H, W) uint8 holds categories, and 255 where there is no segment.

    Args:
        with_bbox: Whether to load boxes and ignore flags.
        with_label: Whether to load labels.
        with_mask: Whether to load masks.
        with_seg: Whether to load the semantic map.
        box_type: See `LoadAnnotations`.
        imdecode_backend: 'cv2' or 'pillow'.
        backend_args: Options for reading remote files.

    Raises:
        DataError: The PNG can't be read, or a category doesn't fit into the map.
    """

    writes: ClassVar[tuple[str, ...]] = LoadEmptyAnnotations.writes

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        with_mask: bool = True,
        with_seg: bool = True,
        box_type: str | None = "hbox",
        imdecode_backend: str = "cv2",
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            box_type=box_type,
            with_bbox=with_bbox,
            with_label=with_label,
            imdecode_backend=imdecode_backend,
            backend_args=backend_args,
        )
        self.with_panoptic_mask = with_mask
        self.with_panoptic_seg = with_seg

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the arrays to `results`."""
        results = super().transform(results)
        wanted = self.with_panoptic_mask or self.with_panoptic_seg
        if not wanted or results.get("seg_map_path") is None:  # none in a test set without annotations
            return results
        segments = results["segments_info"]
        numbers = self._numbers(results["seg_map_path"])
        if self.with_panoptic_seg:
            results["gt_seg_map"] = _categories(numbers, segments, results["seg_map_path"])
        if self.with_panoptic_mask:
            things = [segment["id"] for segment in segments if segment.get("is_thing")]
            bitmaps = numbers[None] == np.asarray(things, np.int32)[:, None, None]
            results["gt_masks"] = BitmapMasks(bitmaps, *numbers.shape)
        return results

    def _numbers(self, path: str) -> np.ndarray:
        """(H, W) int32 number of the segment of each pixel."""
        colours = read_image(path, "color", self.imdecode_backend, self.backend_args).astype(np.int32)
        return colours[..., 2] + 256 * colours[..., 1] + 65536 * colours[..., 0]  # read as BGR


def _categories(numbers: np.ndarray, segments: list[dict[str, Any]], path: str) -> np.ndarray:
    """(H, W) uint8 category of each pixel."""
    seg_map = np.full(numbers.shape, _VOID, np.uint8)
    for segment in segments:
        if not 0 <= segment["category"] < _VOID:
            raise DataError(f"{path!r} has a segment of category {segment['category']}; 0..{_VOID - 1} fit")
        seg_map[numbers == segment["id"]] = segment["category"]
    return seg_map
