"""Random turning, scaling, shearing and shifting at once; and shifting alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import inside_image, keep_objects
from toolkit.detection.transforms.warp import warp_sample
from toolkit.transforms import BaseTransform
from toolkit.transforms.geometry import clip_boxes, shift_matrix
from toolkit.utils.errors import ConfigError

_OBJECTS = ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags", "gt_masks", "gt_instances_ids", "gt_seg_map")


@TRANSFORMS.register_module()
class RandomAffine(BaseTransform):
    """Scale, turn, shear and shift the image at random, in this order.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Objects outside of the result are left out.

    Args:
        max_rotate_degree: Largest angle to either side.
        max_translate_ratio: Largest shift to either side, as a part of the result's sides.
        scaling_ratio_range: Least and greatest factor.
        max_shear_degree: Largest angle of shear to either side, of both axes.
        border: What the result is larger (smaller where negative) at each side: (left and right, top and
            bottom). Half of a mosaic's size, negative, cuts it to that of one image.
        border_val: What the image gets where nothing was.
        bbox_clip_border: Whether boxes are cut to the result.

    Raises:
        ConfigError: A number is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = _OBJECTS
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "homography_matrix")

    def __init__(
        self,
        max_rotate_degree: float = 10.0,
        max_translate_ratio: float = 0.1,
        scaling_ratio_range: tuple[float, float] = (0.5, 1.5),
        max_shear_degree: float = 2.0,
        border: tuple[int, int] = (0, 0),
        border_val: Sequence[float] = (114, 114, 114),
        bbox_clip_border: bool = True,
    ) -> None:
        if not 0 <= max_translate_ratio <= 1:
            raise ConfigError(
                f"RandomAffine got max_translate_ratio={max_translate_ratio}; it is from 0 to 1."
            )
        if not 0 < scaling_ratio_range[0] <= scaling_ratio_range[1]:
            raise ConfigError(
                f"RandomAffine got scaling_ratio_range={scaling_ratio_range}; it takes two rising "
                "factors above 0."
            )
        self.max_rotate_degree = max_rotate_degree
        self.max_translate_ratio = max_translate_ratio
        self.scaling_ratio_range = scaling_ratio_range
        self.max_shear_degree = max_shear_degree
        self.border = border
        self.border_val = border_val
        self.bbox_clip_border = bbox_clip_border

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, moved."""
        height = results["img"].shape[0] + self.border[1] * 2
        width = results["img"].shape[1] + self.border[0] * 2
        if height <= 0 or width <= 0:
            raise ConfigError(
                f"RandomAffine got border={self.border}, which leaves nothing of an image of "
                f"{results['img'].shape[1]} x {results['img'].shape[0]}"
            )
        matrix = self.draw_matrix(height, width)
        warp_sample(results, matrix, (height, width), fill=self.border_val, clip=self.bbox_clip_border)
        if results.get("gt_bboxes") is not None:
            keep_objects(results, inside_image(results["gt_bboxes"], (height, width)))
        return results

    def draw_matrix(self, height: int, width: int) -> np.ndarray:
        """(3, 3) float32 random matrix for a result of (height, width)."""
        angle = math.radians(_either_side(self.max_rotate_degree))
        scale = np.random.uniform(*self.scaling_ratio_range)
        shear_x = math.tan(math.radians(_either_side(self.max_shear_degree)))
        shear_y = math.tan(math.radians(_either_side(self.max_shear_degree)))
        across = _either_side(self.max_translate_ratio) * width
        down = _either_side(self.max_translate_ratio) * height
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.asarray([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], np.float32)
        shear = np.asarray([[1, shear_x, 0], [shear_y, 1, 0], [0, 0, 1]], np.float32)
        scaling = np.diag([scale, scale, 1]).astype(np.float32)
        return shift_matrix(across, down) @ shear @ turn @ scaling


def _either_side(limit: float) -> float:
    return np.random.uniform(-limit, limit)


@TRANSFORMS.register_module()
class RandomShift(BaseTransform):
    """Shift all that is on the image by whole pixels, or leave it where no object would remain.

    Reads: `img`, `gt_bboxes`.
    Changes: `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `gt_bboxes`, `homography_matrix`.

    Args:
        prob: Probability of doing it.
        max_shift_px: Largest shift, in pixels.
        filter_thr_px: Objects whose box isn't wider and higher than this afterwards are left out.

    Raises:
        ConfigError: A number is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = ("img", "gt_bboxes")
    changes: ClassVar[tuple[str, ...]] = _OBJECTS[1:]
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "gt_bboxes", "homography_matrix")

    def __init__(self, prob: float = 0.5, max_shift_px: int = 32, filter_thr_px: int = 1) -> None:
        if not 0 <= prob <= 1 or max_shift_px < 0:
            raise ConfigError(
                f"RandomShift got prob={prob}, max_shift_px={max_shift_px}; prob is from 0 to 1, a "
                "shift 0 or more."
            )
        self.prob = prob
        self.max_shift_px = max_shift_px
        self.filter_thr_px = int(filter_thr_px)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, shifted or not."""
        if np.random.uniform(0, 1) >= self.prob or not self.max_shift_px:
            return results
        across, down = (np.random.randint(-self.max_shift_px, self.max_shift_px) for _ in range(2))
        shape = results["img"].shape[:2]
        moved = clip_boxes(results["gt_bboxes"] + np.asarray([across, down] * 2, np.float32), shape)
        keep = ((moved[:, 2:] - moved[:, :2]) > self.filter_thr_px).all(axis=1)
        if not keep.any():
            return results
        keep_objects(results, keep)
        warp_sample(results, shift_matrix(across, down), shape, interpolation="nearest")
        return results
