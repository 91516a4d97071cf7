"""CornerNet's crop around a random centre, with margins where it leaves the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import inside_image, keep_objects
from toolkit.detection.transforms.warp import on_canvas
from toolkit.transforms import BaseTransform
from toolkit.transforms.geometry import clip_boxes, note_homography, shift_matrix
from toolkit.utils.errors import ConfigError

_PAD_MODES = ("logical_or", "size_divisor")


@TRANSFORMS.register_module()
class RandomCenterCropPad(BaseTransform):
    """Cut a part around a random centre; what lies outside of the image is filled with the mean colour.

    Law and Deng, "CornerNet: Detecting Objects as Paired Keypoints", ECCV 2018.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_bboxes_labels`, `gt_ignore_flags`, `gt_masks`, `gt_instances_ids`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`, `border`.

    Objects whose centre is outside of the part are left out; where that would be all, another centre is
    drawn.
    In test mode nothing is random: the image is put in the middle of a larger one, and `border` (top, bottom,
    left, right) float32 says where it lies.

    Args:
        crop_size: (width, height) of the part; None in test mode.
        ratios: Factors of `crop_size` to choose from; None in test mode.
        border: Least distance of the centre from the image's border, halved until it fits; None in test mode.
        mean: Colour of the margins.
        std: Not used; it stands beside `mean` as in normalising.
        to_rgb: Whether `mean` is in RGB order (the image is BGR).
        test_mode: Whether only to pad.
        test_pad_mode: How large the image becomes in test mode: ('logical_or', n) sets the lower bits of both
            sides as in n, ('size_divisor', n) goes to multiples of n. None in training.
        test_pad_add_pix: Pixels more in test mode, with 'logical_or'.
        bbox_clip_border: Whether boxes are cut to the part.

    Raises:
        ConfigError: Arguments of one mode in the other, or `mean`, `std` or `to_rgb` left out.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = (
        "gt_bboxes",
        "gt_bboxes_labels",
        "gt_ignore_flags",
        "gt_masks",
        "gt_instances_ids",
        "gt_seg_map",
    )
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "homography_matrix", "border")

    def __init__(
        self,
        crop_size: tuple[int, int] | None = None,
        ratios: Sequence[float] | None = (0.9, 1.0, 1.1),
        border: int | None = 128,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        to_rgb: bool | None = None,
        test_mode: bool = False,
        test_pad_mode: tuple[str, int] | None = ("logical_or", 127),
        test_pad_add_pix: int = 0,
        bbox_clip_border: bool = True,
    ) -> None:
        if mean is None or std is None or to_rgb is None:
            raise ConfigError("RandomCenterCropPad needs mean, std and to_rgb, those of the normalising.")
        self.crop_size: Any = crop_size
        self.ratios: Any = ratios
        self.border: Any = border
        self.mean = tuple(mean)[::-1] if to_rgb else tuple(mean)
        self.std = tuple(std)[::-1] if to_rgb else tuple(std)
        self.to_rgb = to_rgb
        self.test_mode = test_mode
        self.test_pad_mode: Any = test_pad_mode
        self.test_pad_add_pix = test_pad_add_pix
        self.bbox_clip_border = bbox_clip_border
        self._check_mode()

    def _check_mode(self) -> None:
        if self.test_mode:
            if not self.crop_size is self.ratios is self.border is None:
                raise ConfigError("RandomCenterCropPad in test mode takes crop_size=ratios=border=None.")
            if not self.test_pad_mode or self.test_pad_mode[0] not in _PAD_MODES:
                raise ConfigError(
                    f"RandomCenterCropPad got test_pad_mode={self.test_pad_mode}; it is {_PAD_MODES}."
                )
        elif self.test_pad_mode is not None:
            raise ConfigError("RandomCenterCropPad in training takes test_pad_mode=None.")
        elif not self.crop_size or min(self.crop_size) <= 0 or not self.ratios or self.border is None:
            raise ConfigError(
                f"RandomCenterCropPad got crop_size={self.crop_size}, ratios={self.ratios}, "
                f"border={self.border}; "
                "in training it takes a positive (width, height), factors and a distance."
            )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The part of the sample, or the padded one."""
        height, width = results["img"].shape[:2]
        if self.test_mode:
            middle = height // 2, width // 2
            results["border"] = self._cut(results, middle, self._test_size(height, width))
            return results
        boxes = results.get("gt_bboxes", np.zeros((0, 4), np.float32))
        center, size, keep = self._draw(height, width, (boxes[:, :2] + boxes[:, 2:]) / 2)
        keep_objects(results, keep)
        self._cut(results, center, size)
        if len(boxes):
            if self.bbox_clip_border:
                results["gt_bboxes"] = clip_boxes(results["gt_bboxes"], size)
            keep_objects(results, inside_image(results["gt_bboxes"], size))
        return results

    def _test_size(self, height: int, width: int) -> tuple[int, int]:
        mode, number = self.test_pad_mode
        if mode == "logical_or":
            return (height | number) + self.test_pad_add_pix, (width | number) + self.test_pad_add_pix
        return math.ceil(height / number) * number, math.ceil(width / number) * number

    def _draw(
        self, height: int, width: int, centers: np.ndarray
    ) -> tuple[tuple[int, int], tuple[int, int], np.ndarray]:
        """Centre (y, x), size (h, w) and (N,) bool: which of the objects with `centers` (N, 2) stay."""
        while True:
            ratio = np.random.choice(self.ratios)
            new_h, new_w = int(self.crop_size[1] * ratio), int(self.crop_size[0] * ratio)
            margin_y, margin_x = _margin(self.border, height), _margin(self.border, width)
            for _ in range(50):
                x = int(np.random.randint(margin_x, width - margin_x))
                y = int(np.random.randint(margin_y, height - margin_y))
                left, top = max(x - new_w // 2, 0), max(y - new_h // 2, 0)
                right, bottom = min(x + new_w // 2, width), min(y + new_h // 2, height)
                keep: Any = ((centers > (left, top)) & (centers < (right, bottom))).all(axis=1)
                if keep.any() or not len(centers):
                    return (y, x), (new_h, new_w), keep

    def _cut(self, results: dict[str, Any], center: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
        """Cut all to `size` (h, w) around `center` (y, x).

        Returns:
            (4,) float32 top, bottom, left and right of the image within the result.
        """
        (y, x), (new_h, new_w) = center, size
        height, width = results["img"].shape[:2]
        left, top = max(x - new_w // 2, 0), max(y - new_h // 2, 0)
        right, bottom = min(x + new_w // 2, width), min(y + new_h // 2, height)
        # where the part's corner comes to lie
        at_x, at_y = new_w // 2 - (x - left), new_h // 2 - (y - top)
        results["img"] = on_canvas(results["img"][top:bottom, left:right], size, (at_y, at_x), self.mean)
        results["img_shape"] = size
        note_homography(results, shift_matrix(at_x - left, at_y - top))
        if results.get("gt_bboxes") is not None:
            shift = np.asarray([at_x - left, at_y - top] * 2, np.float32)
            results["gt_bboxes"] = results["gt_bboxes"] + shift
        if results.get("gt_masks") is not None:
            part = results["gt_masks"].crop(np.asarray([left, top, right, bottom]))
            results["gt_masks"] = part.expand(new_h, new_w, at_y, at_x)
        if results.get("gt_seg_map") is not None:
            part = results["gt_seg_map"][top:bottom, left:right]
            results["gt_seg_map"] = on_canvas(part, size, (at_y, at_x), results.get("ignore_index", 255))
        return np.asarray([at_y, at_y + bottom - top, at_x, at_x + right - left], np.float32)


def _margin(border: int, side: int) -> int:
    """`border`, halved until twice of it is less than the side."""
    while 2 * border >= side and border:
        border //= 2
    return border
