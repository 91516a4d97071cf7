"""Cutting out the middle of an image, and of what lies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.transforms.geometry import clip_boxes, note_homography, shift_matrix
from toolkit.utils.errors import ConfigError


@TRANSFORMS.register_module()
class CenterCrop(BaseTransform):
    """Cut out the middle of image, boxes, masks and semantic map.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `pad_shape`, `homography_matrix`.

    All objects stay, those outside with a box without area; `FilterAnnotations` takes them out.

    Args:
        crop_size: (width, height) in pixels; a number stands for both. Of an image that is smaller, what is
            there.
        auto_pad: Pad an image that is smaller before, at the right and the bottom.
        pad_cfg: The transform that pads, `Pad` and its `pad_val` and `padding_mode`.
        clip_object_border: Whether boxes are cut to the part.

    Raises:
        ConfigError: The size isn't two positive numbers.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map")
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "pad_shape", "homography_matrix")

    def __init__(
        self,
        crop_size: int | tuple[int, int],
        auto_pad: bool = False,
        pad_cfg: Mapping[str, Any] | None = None,
        clip_object_border: bool = True,
    ) -> None:
        size = crop_size if isinstance(crop_size, Sequence) else (crop_size, crop_size)
        if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
            raise ConfigError(
                f"CenterCrop got crop_size={crop_size!r}; it takes a positive number of pixels, or two: "
                "(width, height)."
            )
        self.crop_size = size
        self.auto_pad = auto_pad
        self.pad_cfg = {"type": "Pad", **(pad_cfg or {})}
        self.clip_object_border = clip_object_border

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The middle of the sample."""
        columns, rows = self.crop_size
        height, width = results["img"].shape[:2]
        if self.auto_pad and (height < rows or width < columns):
            size = max(columns, width), max(rows, height)
            results = TRANSFORMS.build({**self.pad_cfg, "size": size})(results)
            height, width = results["img"].shape[:2]
        # halves go to the even side, as Python rounds
        top, left = max(round((height - rows) / 2), 0), max(round((width - columns) / 2), 0)
        self._cut(results, (left, top, min(left + columns, width), min(top + rows, height)))
        return results

    def _cut(self, results: dict[str, Any], region: tuple[int, int, int, int]) -> None:
        """Cut to (x1, y1, x2, y2)."""
        left, top, right, bottom = region
        results["img"] = results["img"][top:bottom, left:right]
        shape = results["img"].shape[:2]
        results["img_shape"] = results["pad_shape"] = shape
        note_homography(results, shift_matrix(-left, -top))
        if results.get("gt_bboxes") is not None:
            boxes = results["gt_bboxes"] - np.asarray([left, top, left, top], np.float32)
            results["gt_bboxes"] = clip_boxes(boxes, shape) if self.clip_object_border else boxes
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].crop(region)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = results["gt_seg_map"][top:bottom, left:right]
