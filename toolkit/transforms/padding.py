"""Padding an image, and what lies on it, to a size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.transforms.image_ops import impad


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
