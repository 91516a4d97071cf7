"""Instance masks as bitmaps, with the operations that geometric transforms need.

Shapes: N instances on an image of H x W pixels; masks are (N, H, W) uint8 of 0 and 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch

_FLIP_AXES = {"horizontal": (2,), "vertical": (1,), "diagonal": (1, 2)}
_INTERPOLATION = {"nearest": cv2.INTER_NEAREST, "bilinear": cv2.INTER_LINEAR}


class BitmapMasks:
    """Masks of the N instances of an image. Methods return new masks and leave these as they are.

    Args:
        masks: (N, H, W) array, or a sequence of (H, W) arrays; non-zero is inside.
        height: H, needed where there is no instance.
        width: W.

    Raises:
        ValueError: The masks aren't of that height and width.
    """

    def __init__(self, masks: np.ndarray | Sequence[np.ndarray], height: int, width: int) -> None:
        self.height, self.width = int(height), int(width)
        stacked = np.asarray(masks, np.uint8) if len(masks) else np.zeros((0, height, width), np.uint8)
        if stacked.shape[1:] != (self.height, self.width):
            raise ValueError(f"masks of shape {stacked.shape[1:]} on an image of {(self.height, self.width)}")
        self.masks = stacked

    def __len__(self) -> int:
        return len(self.masks)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.masks)

    def __getitem__(self, index: Any) -> BitmapMasks:
        """The masks at an int, slice, array or tensor of indices or booleans."""
        if isinstance(index, torch.Tensor):
            index = index.cpu().numpy()
        return self._like(self.masks[index].reshape(-1, self.height, self.width))

    def __repr__(self) -> str:
        return f"BitmapMasks(num_masks={len(self)}, height={self.height}, width={self.width})"

    def _like(self, masks: np.ndarray) -> BitmapMasks:
        return BitmapMasks(masks, *masks.shape[1:])

    @property
    def areas(self) -> np.ndarray:
        """(N,) int64 number of pixels inside."""
        return self.masks.sum(axis=(1, 2), dtype=np.int64)

    def get_bboxes(self) -> np.ndarray:
        """(N, 4) float32 xyxy extents, right and lower edge exclusive; zeros for an empty mask."""
        boxes = np.zeros((len(self), 4), np.float32)
        for box, mask in zip(boxes, self.masks, strict=True):
            left, top, width, height = cv2.boundingRect(mask)
            box[:] = left, top, left + width, top + height
        return boxes

    def resize(self, out_shape: tuple[int, int], interpolation: str = "nearest") -> BitmapMasks:
        """Scale to (height, width), whatever the aspect ratio."""
        height, width = out_shape
        code = _INTERPOLATION[interpolation]
        scaled = [cv2.resize(mask, (width, height), interpolation=code) for mask in self.masks]
        return BitmapMasks(scaled, height, width)

    def flip(self, flip_direction: str = "horizontal") -> BitmapMasks:
        """Mirror 'horizontal'ly, 'vertical'ly or along the 'diagonal' (both)."""
        return self._like(np.flip(self.masks, _FLIP_AXES[flip_direction]))

    def pad(self, out_shape: tuple[int, int], pad_val: int = 0) -> BitmapMasks:
        """Extend to (height, width) at the right and the bottom."""
        below, right = out_shape[0] - self.height, out_shape[1] - self.width
        return self._like(np.pad(self.masks, ((0, 0), (0, below), (0, right)), constant_values=pad_val))

    def crop(self, bbox: Sequence[int]) -> BitmapMasks:
        """Cut to (x1, y1, x2, y2), which is itself cut to the image."""
        left, top, right, bottom = (int(value) for value in bbox)
        return self._like(self.masks[:, max(top, 0) : bottom, max(left, 0) : right])

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> BitmapMasks:
        """Put onto a larger image of `expanded_h` x `expanded_w`, at (`top`, `left`)."""
        canvas = np.zeros((len(self), expanded_h, expanded_w), np.uint8)
        canvas[:, top : top + self.height, left : left + self.width] = self.masks
        return self._like(canvas)

    def to_ndarray(self) -> np.ndarray:
        """(N, H, W) uint8."""
        return self.masks

    def to_tensor(self, dtype: torch.dtype, device: torch.device | str) -> torch.Tensor:
        """(N, H, W) tensor."""
        return torch.tensor(self.masks, dtype=dtype, device=device)

    @staticmethod
    def cat(masks: Sequence[BitmapMasks]) -> BitmapMasks:
        """All masks of several images of one size."""
        joined = np.concatenate([one.masks for one in masks])
        return BitmapMasks(joined, masks[0].height, masks[0].width)
