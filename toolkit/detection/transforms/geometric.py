"""Scaling and mirroring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.transforms import BaseTransform
from toolkit.transforms.geometry import clip_boxes, note_homography
from toolkit.transforms.image_ops import imflip, imresize, rescale_size

DIRECTIONS = ("horizontal", "vertical", "diagonal")
_LABELS = 256  # of a semantic map, which is uint8


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

    def factor(self, size: tuple[int, int], new_size: tuple[int, int]) -> tuple[float, float]:
        """What boxes are multiplied by, across and down, where `size` (w, h) becomes `new_size`."""
        return new_size[0] / size[0], new_size[1] / size[1]

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
        factor = self.factor((width, height), size)
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
        swap_seg_labels: Pairs of labels that change places in the semantic map of a mirrored image, such as
            those of the left and the right arm. (MMDetection takes them and swaps nothing; MMCV swaps.)

    Raises:
        ValueError: Unknown direction, probabilities that don't fit, or something else than pairs of labels.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = ("gt_bboxes", "gt_masks", "gt_seg_map", "homography_matrix")
    writes: ClassVar[tuple[str, ...]] = ("img", "flip", "flip_direction")

    def __init__(
        self,
        prob: float | Sequence[float] | None = None,
        direction: str | Sequence[str] = "horizontal",
        swap_seg_labels: Sequence[tuple[int, int]] | None = None,
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
        self.swap_seg_labels = swap_seg_labels
        self._new_labels = _swapping(swap_seg_labels or ())
        self._choices: list[str | None] = [*directions, None]
        self._probs = [*probs, max(0.0, 1 - sum(probs))]

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample, mirrored or not."""
        chosen = self._choices[int(np.random.choice(len(self._choices), p=self._probs))]
        results["flip"], results["flip_direction"] = chosen is not None, chosen
        if chosen is not None:
            self._flip(results, chosen)
        return results

    def _flip(self, results: dict[str, Any], direction: str) -> None:
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
            seg_map = imflip(results["gt_seg_map"], direction=direction)
            results["gt_seg_map"] = self._new_labels[seg_map] if self.swap_seg_labels else seg_map
        note_homography(results, matrix)


def _swapping(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """(256,) uint8: the label that each of a semantic map becomes where pairs of them change places."""
    table = np.arange(_LABELS, dtype=np.uint8)
    for pair in pairs:
        if len(pair) != 2 or not all(isinstance(one, int) and 0 <= one < _LABELS for one in pair):
            raise ValueError(
                f"RandomFlip got {pair!r} in swap_seg_labels; it takes pairs of labels, from 0 to 255."
            )
        table[list(pair)] = pair[::-1]
    return table


def flip_boxes(boxes: np.ndarray, img_shape: tuple[int, int], direction: str) -> np.ndarray:
    """Boxes (N, 4) of an image of (h, w), mirrored."""
    height, width = img_shape
    flipped = boxes.copy()
    if direction != "vertical":
        flipped[:, 0], flipped[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    if direction != "horizontal":
        flipped[:, 1], flipped[:, 3] = height - boxes[:, 3], height - boxes[:, 1]
    return flipped
