"""Scaling, mirroring and padding."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.instances import clip_boxes, note_homography
from toolkit.transforms import BaseTransform
from toolkit.transforms.image_ops import imflip, impad, imresize, rescale_size

DIRECTIONS = ("horizontal", "vertical", "diagonal")


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Scale image, boxes, masks and semantic map.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `scale`, `scale_factor`, `keep_ratio`, `homography_matrix`.

    `scale` (w, h) is what was asked for, `scale_factor` (w, h) what was done.

    Args:
        scale: (width, height) in pixels; a number stands for both. With `keep_ratio` the image becomes as
            large as fits into the scale, its longer side against the larger number.
        scale_factor: Factor of the sides, one or (width, height), where no `scale` is given.
        keep_ratio: Whether width and height are scaled alike.
        clip_object_border: Whether boxes are cut to the image.
        backend: 'cv2' or 'pillow'.
        interpolation: 'nearest', 'bilinear', 'bicubic', 'area' or 'lanczos'.

    Raises:
        ValueError: Neither `scale` nor `scale_factor` is given, or one is negative.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map")
    writes: ClassVar[tuple[str, ...]] = (
        "img",
        "img_shape",
        "scale",
        "scale_factor",
        "keep_ratio",
        "homography_matrix",
    )

    def __init__(
        self,
        scale: int | tuple[int, int] | None = None,
        scale_factor: float | tuple[float, float] | None = None,
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        if scale is None and scale_factor is None:
            raise ValueError("Resize needs scale=(width, height) or scale_factor.")
        self.scale = None if scale is None else _pair(scale, "scale")
        self.scale_factor = None if scale_factor is None else _pair(scale_factor, "scale_factor")
        self.keep_ratio = keep_ratio
        self.clip_object_border = clip_object_border
        self.backend = backend
        self.interpolation = interpolation

    def fitted(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        """(width, height) that an image of `size` (w, h) gets within `scale`, its aspect ratio kept."""
        return rescale_size(size, scale)  # type: ignore[return-value]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample in its new size."""
        height, width = results["img"].shape[:2]
        # RandomResize and its kind set `scale` anew for every sample
        scale = tuple(self.scale) if self.scale is not None else _scaled((width, height), self.scale_factor)
        new_w, new_h = size = self.fitted((width, height), scale) if self.keep_ratio else scale
        if size != (width, height):
            results["img"] = imresize(
                results["img"], size, interpolation=self.interpolation, backend=self.backend
            )
        factor = (new_w / width, new_h / height)
        results.update(scale=scale, scale_factor=factor, keep_ratio=self.keep_ratio, img_shape=(new_h, new_w))
        if results.get("gt_bboxes") is not None:
            boxes = results["gt_bboxes"] * np.asarray(factor * 2, np.float32)
            results["gt_bboxes"] = clip_boxes(boxes, (new_h, new_w)) if self.clip_object_border else boxes
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].resize((new_h, new_w))
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = imresize(
                results["gt_seg_map"], size, interpolation="nearest", backend=self.backend
            )
        note_homography(results, np.diag([*factor, 1]).astype(np.float32))
        return results


def _pair(value: Any, name: str) -> tuple[Any, Any]:
    pair = (value, value) if isinstance(value, (int, float)) else tuple(value)
    if len(pair) != 2 or min(pair) < 0:  # 0 stands for a scale that is set later, sample by sample
        raise ValueError(f"Resize got {name}={value!r}; it takes a number or two, (width, height).")
    return pair


def _scaled(size: tuple[int, int], factor: Any) -> tuple[int, int]:
    """(width, height) times a factor, to the nearest whole pixel."""
    across, down = (factor, factor) if isinstance(factor, (int, float)) else factor
    return int(size[0] * float(across) + 0.5), int(size[1] * float(down) + 0.5)


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror image, boxes, masks and semantic map at random.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`, `homography_matrix`.
    Writes: `img`, `flip`, `flip_direction`.

    `flip_direction` is None where nothing was mirrored.

    Args:
        prob: Probability of a flip; among several directions it is shared evenly. A list gives each direction
            its own.
        direction: 'horizontal', 'vertical', 'diagonal' (both) or a list of these.

    Raises:
        ValueError: Unknown direction, or probabilities that don't fit.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map", "homography_matrix")
    writes: ClassVar[tuple[str, ...]] = ("img", "flip", "flip_direction")

    def __init__(
        self, prob: float | Sequence[float] | None = None, direction: str | Sequence[str] = "horizontal"
    ) -> None:
        directions = [direction] if isinstance(direction, str) else list(direction)
        unknown = [name for name in directions if name not in DIRECTIONS]
        if unknown:
            raise ValueError(f"RandomFlip got direction {unknown[0]!r}; it takes {', '.join(DIRECTIONS)}.")
        if prob is None:
            raise ValueError("RandomFlip needs prob, such as prob=0.5.")
        if isinstance(prob, (int, float)):
            probs = [prob / len(directions)] * len(directions)
        else:
            probs = list(prob)
        if len(probs) != len(directions) or min(probs) < 0 or sum(probs) > 1 + 1e-9:
            raise ValueError(
                f"RandomFlip got prob={prob} with direction={direction}; it takes one probability, or one a "
                "direction, from 0 to 1 in sum."
            )
        self.prob = prob
        self.direction = direction
        self._choices: list[str | None] = [*directions, None]
        self._probs = [*probs, max(0.0, 1 - sum(probs))]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, mirrored or not."""
        chosen = self._choices[int(np.random.choice(len(self._choices), p=self._probs))]
        results["flip"], results["flip_direction"] = chosen is not None, chosen
        if chosen is not None:
            self._flip(results, chosen)
        return results

    @staticmethod
    def _flip(results: dict[str, Any], direction: str) -> None:
        results["img"] = imflip(results["img"], direction=direction)
        height, width = results["img"].shape[:2]
        matrix = np.eye(3, dtype=np.float32)
        if direction != "vertical":
            matrix[0] = -1, 0, width
        if direction != "horizontal":
            matrix[1] = 0, -1, height
        if results.get("gt_bboxes") is not None:
            results["gt_bboxes"] = flip_boxes(results["gt_bboxes"], (height, width), direction)
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].flip(direction)
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = imflip(results["gt_seg_map"], direction=direction)
        note_homography(results, matrix)


def flip_boxes(boxes: np.ndarray, img_shape: tuple[int, int], direction: str) -> np.ndarray:
    """Boxes (N, 4) of an image of (h, w), mirrored."""
    height, width = img_shape
    flipped = boxes.copy()
    if direction != "vertical":
        flipped[:, 0], flipped[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    if direction != "horizontal":
        flipped[:, 1], flipped[:, 3] = height - boxes[:, 3], height - boxes[:, 1]
    return flipped


@TRANSFORMS.register_module()
class Pad(BaseTransform):
    """Extend the image, masks and semantic map at the right and the bottom.

    Reads: `img`.
    Changes: `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `pad_shape`, `pad_fixed_size`, `pad_size_divisor`.

    Args:
        size: (width, height) to extend to.
        size_divisor: Extend both sides to multiples of this.
        pad_to_square: Extend the shorter side to the longer one (and then to `size_divisor`).
        pad_val: What to fill with: a number or colour for the image (the semantic map gets 255), or
            `dict(img=…, seg=…, masks=…)`.
        padding_mode: 'constant', 'edge', 'reflect' or 'symmetric'.

    Raises:
        ValueError: It isn't said how far to extend, or in two ways at once.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_masks", "gt_seg_map")
    writes: ClassVar[tuple[str, ...]] = (
        "img",
        "img_shape",
        "pad_shape",
        "pad_fixed_size",
        "pad_size_divisor",
    )

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        size_divisor: int | None = None,
        pad_to_square: bool = False,
        pad_val: float | Mapping[str, Any] | None = None,
        padding_mode: str = "constant",
    ) -> None:
        ways = (size is not None) + (size_divisor is not None or pad_to_square)
        if ways != 1:
            raise ValueError("Pad takes size, or size_divisor and pad_to_square (one of these or both).")
        fill = {} if pad_val is None else dict(pad_val) if isinstance(pad_val, Mapping) else {"img": pad_val}
        self.size = size
        self.size_divisor = size_divisor
        self.pad_to_square = pad_to_square
        self.pad_val = {"img": 0, "seg": 255, **fill}
        self.padding_mode = padding_mode

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its margin."""
        shape = self._target(*results["img"].shape[:2])
        image = impad(
            results["img"], shape=shape, pad_val=self.pad_val["img"], padding_mode=self.padding_mode
        )
        results.update(
            img=image,
            img_shape=image.shape[:2],
            pad_shape=image.shape,
            pad_fixed_size=self.size,
            pad_size_divisor=self.size_divisor,
        )
        if results.get("gt_masks") is not None:
            results["gt_masks"] = results["gt_masks"].pad(shape, pad_val=self.pad_val.get("masks", 0))
        if results.get("gt_seg_map") is not None:
            results["gt_seg_map"] = impad(
                results["gt_seg_map"],
                shape=shape,
                pad_val=self.pad_val["seg"],
                padding_mode=self.padding_mode,
            )
        return results

    def _target(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) after padding, never less than before."""
        if self.size is not None:
            return max(self.size[1], height), max(self.size[0], width)
        if self.pad_to_square:
            height = width = max(height, width)
        divisor = self.size_divisor or 1
        return math.ceil(height / divisor) * divisor, math.ceil(width / divisor) * divisor
