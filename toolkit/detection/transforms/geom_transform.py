"""Turning, shearing and shifting by a random amount."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.levels import check_strength, level_to_mag
from toolkit.detection.transforms.warp import warp_sample
from toolkit.transforms import BaseTransform
from toolkit.transforms.geometry import shift_matrix
from toolkit.utils.errors import ConfigError


@TRANSFORMS.register_module()
class GeomTransform(BaseTransform):
    """Base of transforms that move all that is on the image by one matrix of random strength.

    A subclass says in `warp_matrix` what a strength means. This base itself moves nothing.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least strength.
        max_mag: Greatest strength; 1 by default.
        reversal_prob: Probability of keeping the direction; otherwise the strength's sign changes.
        img_border_value: What the image gets where nothing was; one number or three, within 0..255.
        mask_border_value: The same for masks.
        seg_ignore_label: The same for the semantic map.
        interpolation: 'nearest', 'bilinear', 'bicubic', 'area' or 'lanczos'.

    Raises:
        ConfigError: An argument is outside its range.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map")
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "homography_matrix")
    limits: ClassVar[tuple[float, float] | None] = None
    default_max_mag: ClassVar[float] = 1.0

    def __init__(
        self,
        prob: float = 1.0,
        level: int | None = None,
        min_mag: float = 0.0,
        max_mag: float | None = None,
        reversal_prob: float = 0.5,
        img_border_value: float | Sequence[float] = 128,
        mask_border_value: int = 0,
        seg_ignore_label: int = 255,
        interpolation: str = "bilinear",
    ) -> None:
        name = type(self).__name__
        max_mag = self.default_max_mag if max_mag is None else max_mag
        check_strength(name, prob, level, (min_mag, max_mag), self.limits)
        if not 0 <= reversal_prob <= 1:
            raise ConfigError(f"{name} got reversal_prob={reversal_prob}; a probability is from 0 to 1.")
        colour = (img_border_value,) * 3 if isinstance(img_border_value, (int, float)) else img_border_value
        if len(colour) != 3 or min(colour) < 0 or max(colour) > 255:
            raise ConfigError(
                f"{name} got img_border_value={img_border_value}; it takes a number or three, from 0 to 255."
            )
        self.prob = prob
        self.level = level
        self.min_mag = min_mag
        self.max_mag = max_mag
        self.reversal_prob = reversal_prob
        self.img_border_value = tuple(float(value) for value in colour)
        self.mask_border_value = mask_border_value
        self.seg_ignore_label = seg_ignore_label
        self.interpolation = interpolation

    def strength(self, mag: float) -> float:
        """What `warp_matrix` takes, from a magnitude in the units of `max_mag`."""
        return mag

    def warp_matrix(self, img_shape: tuple[int, int], strength: float) -> np.ndarray:
        """(3, 3) matrix that moves the points of an image of (h, w)."""
        return np.eye(3, dtype=np.float32)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, moved or not."""
        if np.random.rand() > self.prob:
            return results
        strength = self.strength(level_to_mag(self.level, self.min_mag, self.max_mag))
        if np.random.rand() > self.reversal_prob:
            strength = -strength
        shape = results["img"].shape[:2]
        warp_sample(
            results,
            self.warp_matrix(shape, strength),
            shape,
            fill=self.img_border_value,
            mask_fill=self.mask_border_value,
            seg_fill=self.seg_ignore_label,
            interpolation=self.interpolation,
        )
        return results


class _Degrees(GeomTransform):
    """Those whose strength is an angle, 30 degrees at most by default."""

    default_max_mag: ClassVar[float] = 30.0


class _Shear(_Degrees):
    limits: ClassVar[tuple[float, float] | None] = (0.0, 90.0)
    place: ClassVar[tuple[int, int]]

    def strength(self, mag: float) -> float:
        """The tangent of an angle in degrees."""
        return float(np.tan(mag * np.pi / 180))

    def warp_matrix(self, img_shape: tuple[int, int], strength: float) -> np.ndarray:
        """See `GeomTransform`; `strength` is the shift in pixels a pixel."""
        matrix = np.eye(3, dtype=np.float32)
        matrix[self.place] = strength
        return matrix


@TRANSFORMS.register_module()
class ShearX(_Shear):
    """Shift rows by a part of their y: shear horizontally by an angle, in degrees.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least angle, from 0 to 90.
        max_mag: Greatest angle; 30 by default.
        reversal_prob: See `GeomTransform`, and so for the further arguments.
    """

    place = (0, 1)


@TRANSFORMS.register_module()
class ShearY(_Shear):
    """Shift columns by a part of their x: shear vertically by an angle, in degrees.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least angle, from 0 to 90.
        max_mag: Greatest angle; 30 by default.
        reversal_prob: See `GeomTransform`, and so for the further arguments.
    """

    place = (1, 0)


@TRANSFORMS.register_module()
class Rotate(_Degrees):
    """Turn clockwise around the centre by an angle, in degrees.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least angle, from 0 to 180.
        max_mag: Greatest angle; 30 by default.
        reversal_prob: See `GeomTransform`, and so for the further arguments.
    """

    limits = (0.0, 180.0)

    def warp_matrix(self, img_shape: tuple[int, int], strength: float) -> np.ndarray:
        """See `GeomTransform`; `strength` is the angle."""
        center = ((img_shape[1] - 1) * 0.5, (img_shape[0] - 1) * 0.5)
        return np.vstack([cv2.getRotationMatrix2D(center, -strength, 1.0), [0.0, 0.0, 1.0]])


class _Translate(GeomTransform):
    limits: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    default_max_mag: ClassVar[float] = 0.1


@TRANSFORMS.register_module()
class TranslateX(_Translate):
    """Shift horizontally by a part of the width, to whole pixels.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least part of the width, from 0 to 1.
        max_mag: Greatest part of the width; 0.1 by default.
        reversal_prob: See `GeomTransform`, and so for the further arguments.
    """

    def warp_matrix(self, img_shape: tuple[int, int], strength: float) -> np.ndarray:
        """See `GeomTransform`; `strength` is the part of the width."""
        return shift_matrix(int(img_shape[1] * strength), 0)


@TRANSFORMS.register_module()
class TranslateY(_Translate):
    """Shift vertically by a part of the height, to whole pixels.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `homography_matrix`.

    Args:
        prob: Probability of doing it at all.
        level: Strength from 0 (`min_mag`) to 10 (`max_mag`); None draws one between them.
        min_mag: Least part of the height, from 0 to 1.
        max_mag: Greatest part of the height; 0.1 by default.
        reversal_prob: See `GeomTransform`, and so for the further arguments.
    """

    def warp_matrix(self, img_shape: tuple[int, int], strength: float) -> np.ndarray:
        """See `GeomTransform`; `strength` is the part of the height."""
        return shift_matrix(0, int(img_shape[0] * strength))
