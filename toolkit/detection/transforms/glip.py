"""GLIP's boxes, whose right and lower edges are the last pixels inside."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.geometric import RandomFlip
from toolkit.transforms import BaseTransform


@TRANSFORMS.register_module()
class GTBoxSubOne_GLIP(BaseTransform):
    """Move the right and the lower edge of boxes by one pixel to the inside.

    Reads: none.
    Changes: `gt_bboxes`.
    Writes: none.
    """

    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes",)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its boxes one pixel smaller."""
        if results.get("gt_bboxes") is not None:
            results["gt_bboxes"] = results["gt_bboxes"] - np.asarray([0, 0, 1, 1], np.float32)
        return results


@TRANSFORMS.register_module()
class RandomFlip_GLIP(RandomFlip):
    """RandomFlip for boxes that end with their last pixel: horizontal mirroring moves them one to the left.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`, `homography_matrix`.
    Writes: `img`, `flip`, `flip_direction`.

    Args:
        prob: See `RandomFlip`.
        direction: See `RandomFlip`.
        swap_seg_labels: See `RandomFlip`.
    """

    def _flip(self, results: dict[str, Any], direction: str) -> None:
        super()._flip(results, direction)
        if results.get("gt_bboxes") is not None and direction == "horizontal":
            results["gt_bboxes"] = results["gt_bboxes"] - np.asarray([1, 0, 1, 0], np.float32)
