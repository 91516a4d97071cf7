"""Instance masks as bitmaps.

Shapes: N instances on an image of H x W pixels; masks are (N, H, W) uint8 of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from toolkit.detection.masks.base import InstanceMasks, Shape, as_index, checked_direction, clipped_box

_FLIP_CODES = {"horizontal": 1, "vertical": 0, "diagonal": -1}
_INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos": cv2.INTER_LANCZOS4,
}


class BitmapMasks(InstanceMasks):
    """Masks of the N instances of an image; see `InstanceMasks`.

    Args:
        masks: (N, H, W) array, or a sequence of (H, W) arrays; non-zero is inside.
        height: H, needed where there is no instance.
        width: W.

    Raises:
        ValueError: The masks aren't of that height and width.

    Examples:
        >>> square = np.zeros((1, 4, 6), np.uint8)
        >>> square[:, 1:3, 1:3] = 1
        >>> BitmapMasks(square, 4, 6).flip("horizontal").get_bboxes()
        array([[3., 1., 5., 3.]], dtype=float32)
    """

    def __init__(self, masks: np.ndarray | Sequence[np.ndarray], height: int, width: int) -> None:
        self.height, self.width = int(height), int(width)
        stacked = np.asarray(masks) if len(masks) else np.zeros((0, self.height, self.width), np.uint8)
        if stacked.shape[1:] != (self.height, self.width):
            raise ValueError(f"masks of shape {stacked.shape[1:]} on an image of {(self.height, self.width)}")
        # Cuts that weren't made binary have parts of pixels; all else is 0 and 1.
        self.masks = stacked if stacked.dtype.kind == "f" else stacked.astype(np.uint8, copy=False)

    def __getitem__(self, index: Any) -> BitmapMasks:
        """See `InstanceMasks`."""
        return self._like(self.masks[as_index(index)].reshape(-1, self.height, self.width))

    def _like(self, masks: np.ndarray) -> BitmapMasks:
        return BitmapMasks(masks, *masks.shape[1:])

    def _each(self, shape: Shape, change: Callable[[np.ndarray], np.ndarray]) -> BitmapMasks:
        """Change one mask after the other, to masks of a shape."""
        changed = np.empty((len(self), *shape), self.masks.dtype)
        for out, mask in zip(changed, self.masks, strict=True):
            out[...] = change(mask)
        return self._like(changed)

    @property
    def areas(self) -> np.ndarray:
        """(N,) int64 number of pixels inside."""
        return self.masks.sum(axis=(1, 2), dtype=np.int64)

    def get_bboxes(self, dst_type: str = "hbox") -> np.ndarray:
        """(N, 4) float32 extents, right and lower edge exclusive; zeros for an empty mask."""
        boxes = np.zeros((len(self), 4), np.float32)
        for box, mask in zip(boxes, self.masks, strict=True):
            left, top, width, height = cv2.boundingRect(mask)
            box[:] = left, top, left + width, top + height
        return boxes

    def resize(self, out_shape: Shape, interpolation: str = "nearest") -> BitmapMasks:
        """See `InstanceMasks`."""
        height, width = (int(side) for side in out_shape)
        code = _INTERPOLATION[interpolation]
        return self._each((height, width), lambda mask: cv2.resize(mask, (width, height), interpolation=code))

    def flip(self, flip_direction: str = "horizontal") -> BitmapMasks:
        """See `InstanceMasks`."""
        code = _FLIP_CODES[checked_direction(flip_direction)]
        return self._each((self.height, self.width), lambda mask: cv2.flip(mask, code))

    def pad(self, out_shape: Shape, pad_val: int = 0) -> BitmapMasks:
        """See `InstanceMasks`. The same masks where nothing is to be added."""
        height, width = (int(side) for side in out_shape)
        if (height, width) == (self.height, self.width):
            return self._like(self.masks)
        canvas = np.full((len(self), height, width), pad_val, self.masks.dtype)
        canvas[:, : self.height, : self.width] = self.masks
        return self._like(canvas)

    def crop(self, bbox: Sequence[int] | np.ndarray) -> BitmapMasks:
        """See `InstanceMasks`."""
        left, top, width, height = clipped_box(bbox, self.height, self.width)
        return self._like(self.masks[:, top : top + height, left : left + width])

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> BitmapMasks:
        """See `InstanceMasks`."""
        canvas = np.zeros((len(self), expanded_h, expanded_w), self.masks.dtype)
        canvas[:, top : top + self.height, left : left + self.width] = self.masks
        return self._like(canvas)

    def warp(
        self,
        matrix: np.ndarray,
        out_shape: Shape,
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> BitmapMasks:
        """See `InstanceMasks`."""
        height, width = (int(side) for side in out_shape)
        code = _INTERPOLATION[interpolation]

        def change(mask: np.ndarray) -> np.ndarray:
            return cv2.warpAffine(mask, matrix, (width, height), flags=code, borderValue=border_value)

        return self._each((height, width), change)

    def targets(self, boxes: Tensor, inds: Tensor, out_shape: Shape, binarize: bool = True) -> Tensor:
        """See `InstanceMasks`."""
        if not len(boxes) or not len(self):
            return boxes.new_zeros((0, *out_shape))
        device = boxes.device
        # Masks travel as bytes. Each box points at its mask, so that none is copied for each of its boxes.
        bitmaps = torch.from_numpy(np.ascontiguousarray(self.masks)).to(device).unsqueeze(1).to(boxes.dtype)
        rois = torch.cat((inds.to(boxes)[:, None], boxes), dim=1)
        covered = roi_align(bitmaps, rois, out_shape, 1.0, sampling_ratio=0, aligned=True).squeeze(1)
        return (covered >= 0.5).to(boxes.dtype) if binarize else covered

    def areas_in(self, boxes: np.ndarray, inds: np.ndarray) -> np.ndarray:
        """See `InstanceMasks`."""
        sums = np.zeros((len(self), self.height + 1, self.width + 1), np.int32)
        for one, mask in zip(sums, self.masks, strict=True):
            cv2.integral(mask, one)
        limit = np.asarray([self.width, self.height])
        low = np.clip(boxes[:, :2], 0, limit)
        high = np.minimum(low + np.maximum(np.clip(boxes[:, 2:], 0, limit) - low, 1), limit)
        (left, top), (right, bottom) = low.T, high.T
        inside = sums[inds, bottom, right] - sums[inds, top, right]
        return (inside - sums[inds, bottom, left] + sums[inds, top, left]).astype(np.float64)

    def crop_and_resize(
        self,
        bboxes: np.ndarray | Tensor,
        out_shape: Shape,
        inds: np.ndarray | Tensor,
        device: torch.device | str = "cpu",
        interpolation: str = "bilinear",
        binarize: bool = True,
    ) -> BitmapMasks:
        """See `InstanceMasks`. With `binarize` False the masks are float32."""
        boxes = torch.as_tensor(bboxes, device=device).float()
        targets = self.targets(boxes, torch.as_tensor(inds, device=device), out_shape, binarize)
        cuts = targets.cpu().numpy()
        return BitmapMasks(cuts.astype(np.uint8) if binarize else cuts, *out_shape)

    def to_ndarray(self) -> np.ndarray:
        """(N, H, W) uint8; not a copy."""
        return self.masks

    @staticmethod
    def random(
        num_masks: int = 3,
        height: int = 32,
        width: int = 32,
        dtype: Any = np.uint8,
        rng: np.random.Generator | int | None = None,
    ) -> BitmapMasks:
        """Noise, nine tenths of which is inside; `rng` is a generator or a seed."""
        noise = np.random.default_rng(rng).random((num_masks, height, width))
        return BitmapMasks((noise > 0.1).astype(dtype), height, width)

    @staticmethod
    def cat(masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """All masks of several images of one size.

        Raises:
            ValueError: There is none.
        """
        if not masks:
            raise ValueError("BitmapMasks.cat needs at least one BitmapMasks")
        joined = np.concatenate([one.masks for one in masks])
        return BitmapMasks(joined, masks[0].height, masks[0].width)
