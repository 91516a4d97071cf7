"""Objects of one image pasted onto another."""

from __future__ import annotations

from typing import Any, ClassVar

import cv2
import numpy as np

from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import join_objects, keep_objects
from toolkit.transforms import BaseTransform
from toolkit.utils.errors import DataError

Sample = dict[str, Any]


@TRANSFORMS.register_module()
class CopyPaste(BaseTransform):
    """Paste objects of another image onto this one, in the pipeline of a `MultiImageMixDataset`.

    Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation", CVPR
    2021.

    Reads: `img`, `gt_bboxes`, `mix_results`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_instances_ids`.
    Writes: `img`, `gt_bboxes`, `gt_masks`.

    Both images have the same size (crop and pad them before). Masks lose what is pasted over, boxes become
    those of the masks, and objects that are mostly covered are left out. Polygons become bitmaps.

    Args:
        max_num_pasted: One more than the most objects that are pasted.
        bbox_occluded_thr: An object stays whose box moves by no more than this at each side, in pixels,
        mask_occluded_thr: or whose mask has more than this many pixels left.
        selected: Whether a random choice of the objects is pasted, or all.
        paste_by_box: Whether boxes stand for masks where there are none.

    Raises:
        DataError: The sizes differ, or there are no masks.
    """

    reads: ClassVar[tuple[str, ...]] = ("img", "gt_bboxes", "mix_results")
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes_labels", "gt_ignore_flags", "gt_instances_ids")
    writes: ClassVar[tuple[str, ...]] = ("img", "gt_bboxes", "gt_masks")

    def __init__(
        self,
        max_num_pasted: int = 100,
        bbox_occluded_thr: int = 10,
        mask_occluded_thr: int = 300,
        selected: bool = True,
        paste_by_box: bool = False,
    ) -> None:
        self.max_num_pasted = max_num_pasted
        self.bbox_occluded_thr = bbox_occluded_thr
        self.mask_occluded_thr = mask_occluded_thr
        self.selected = selected
        self.paste_by_box = paste_by_box

    def get_indexes(self, dataset: Any) -> int:
        """Which sample of a dataset to take objects from."""
        return int(np.random.randint(0, len(dataset)))

    def transform(self, results: Sample) -> Sample:
        """The sample with objects pasted on it."""
        others = results["mix_results"]
        if len(others) != 1:
            raise DataError(f"CopyPaste takes objects of one sample, but mix_results holds {len(others)}")
        source = dict(others[0], gt_masks=self._bitmaps(others[0]))
        if source["img"].shape != results["img"].shape:
            raise DataError(
                f"CopyPaste got images of {results['img'].shape} and {source['img'].shape}; resize, "
                "crop and pad both "
                "to one size in the pipeline of the inner dataset"
            )
        if self.selected:
            _choose(source, self.max_num_pasted)
        results["gt_masks"] = self._bitmaps(results)
        if not len(source["gt_bboxes"]):
            return results
        pasted = source["gt_masks"].masks.any(axis=0)
        self._cover(results, pasted)
        results.update(join_objects((results, source)))
        results["img"] = cv2.copyTo(source["img"], pasted.astype(np.uint8), results["img"].copy())
        return results

    def _bitmaps(self, sample: Sample) -> BitmapMasks:
        masks = sample.get("gt_masks")
        if masks is None:
            if not self.paste_by_box:
                raise DataError(
                    "CopyPaste needs masks: load them with LoadAnnotations(with_mask=True), or set "
                    "paste_by_box=True"
                )
            return _filled_boxes(sample["gt_bboxes"], sample["img"].shape[:2])
        return masks.to_bitmap() if isinstance(masks, PolygonMasks) else masks

    def _cover(self, results: Sample, pasted: np.ndarray) -> None:
        """Take what lies under `pasted` (H, W) bool from masks and boxes; drop what is mostly covered."""
        masks = results["gt_masks"]
        left = BitmapMasks(masks.masks * ~pasted, masks.height, masks.width)
        boxes = left.get_bboxes()
        same = (np.abs(boxes - results["gt_bboxes"]) <= self.bbox_occluded_thr).all(axis=1)
        results["gt_masks"], results["gt_bboxes"] = left, boxes
        keep_objects(results, same | (left.areas > self.mask_occluded_thr))


def _choose(sample: Sample, limit: int) -> None:
    """Keep a random choice of the objects, fewer than `limit`, in random order."""
    count = len(sample["gt_bboxes"])
    number = np.random.randint(0, min(count + 1, limit))
    chosen = np.random.choice(count, size=number, replace=False)
    for key, value in join_objects((sample,)).items():
        sample[key] = value[chosen]


def _filled_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> BitmapMasks:
    """Bitmaps of boxes (N, 4), their corners cut to whole pixels."""
    bitmaps = np.zeros((len(boxes), *shape), np.uint8)
    for bitmap, (left, top, right, bottom) in zip(bitmaps, boxes.astype(np.int64), strict=True):
        bitmap[top:bottom, left:right] = 1
    return BitmapMasks(bitmaps, *shape)
