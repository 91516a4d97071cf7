"""Instance masks as polygons.

An object is a list of polygons, whose union it is; a polygon is an array (x1, y1, x2, y2, …) in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from toolkit.detection.masks.base import InstanceMasks, Shape, as_index, checked_direction, clipped_box
from toolkit.detection.masks.bitmap import BitmapMasks
from toolkit.detection.masks.clip import clip_polygon
from toolkit.detection.masks.convert import polygons_to_bitmaps
from toolkit.utils import BuildError

Object = list[np.ndarray]
_NOWHERE = (0.0,) * 6


class PolygonMasks(InstanceMasks):
    """Masks of the N instances of an image; see `InstanceMasks`.

    Args:
        masks: N lists of polygons (x1, y1, x2, y2, …).
        height: Of the image.
        width: Of the image.

    Raises:
        ValueError: `masks` isn't a sequence of sequences of one-dimensional arrays.

    Examples:
        >>> square = PolygonMasks([[np.array([1.0, 1, 3, 1, 3, 3, 1, 3])]], 4, 6)
        >>> square.flip("horizontal").get_bboxes(), square.areas
        (array([[3., 1., 5., 3.]], dtype=float32), array([4.]))
    """

    def __init__(self, masks: Sequence[Sequence[np.ndarray]], height: int, width: int) -> None:
        self.height, self.width = int(height), int(width)
        self.masks: list[Object] = [list(polygons) for polygons in masks]
        for polygon in (one for polygons in self.masks[:1] for one in polygons[:1]):
            if not isinstance(polygon, np.ndarray) or polygon.ndim != 1:
                raise ValueError(
                    "PolygonMasks takes, for each object, a list of arrays (x1, y1, x2, y2, …); a polygon "
                    f"here is {type(polygon).__name__} of shape {np.shape(polygon)}"
                )

    def __getitem__(self, index: Any) -> PolygonMasks:
        """See `InstanceMasks`."""
        chosen = np.arange(len(self))[as_index(index)].reshape(-1)
        return PolygonMasks([self.masks[i] for i in chosen], self.height, self.width)

    def _each(self, shape: Shape, change: Callable[[np.ndarray], np.ndarray]) -> PolygonMasks:
        """Change the points (n, 2) of each polygon, on an image of a shape."""
        changed = [
            [change(polygon.reshape(-1, 2)).reshape(-1) for polygon in polygons] for polygons in self.masks
        ]
        return PolygonMasks(changed, *shape)

    @property
    def areas(self) -> np.ndarray:
        """(N,) float64 areas: the sum of those of an object's polygons."""
        return np.asarray([sum(map(_area, polygons)) for polygons in self.masks], np.float64)

    def get_bboxes(self, dst_type: str = "hbox") -> np.ndarray:
        """(N, 4) float32 extents of the points."""
        boxes = np.zeros((len(self), 4), np.float32)
        for box, polygons in zip(boxes, self.masks, strict=True):
            points = np.concatenate(polygons).reshape(-1, 2)
            box[:2], box[2:] = points.min(axis=0), points.max(axis=0)
        return boxes

    def resize(self, out_shape: Shape, interpolation: str = "nearest") -> PolygonMasks:
        """See `InstanceMasks`."""
        scale = np.asarray([out_shape[1] / self.width, out_shape[0] / self.height])
        return self._each(out_shape, lambda points: points * scale)

    def flip(self, flip_direction: str = "horizontal") -> PolygonMasks:
        """See `InstanceMasks`."""
        mirrored = np.asarray(
            [checked_direction(flip_direction) != "vertical", flip_direction != "horizontal"]
        )
        size = np.asarray([self.width, self.height])
        return self._each((self.height, self.width), lambda points: np.where(mirrored, size - points, points))

    def pad(self, out_shape: Shape, pad_val: int = 0) -> PolygonMasks:
        """See `InstanceMasks`; the polygons stay as they are."""
        return PolygonMasks(self.masks, *out_shape)

    def crop(self, bbox: Sequence[int] | np.ndarray) -> PolygonMasks:
        """See `InstanceMasks`. An object of which nothing is left becomes a polygon without area."""
        left, top, width, height = clipped_box(bbox, self.height, self.width)
        corner, limits = np.asarray([left, top], np.float64), (float(width), float(height))
        cropped = []
        for polygons in self.masks:
            cut = [clip_polygon(polygon.reshape(-1, 2) - corner, limits) for polygon in polygons]
            kept = [points.reshape(-1) for points in cut if len(points) >= 3]
            cropped.append(kept or [np.asarray(_NOWHERE)])
        return PolygonMasks(cropped, height, width)

    def expand(self, expanded_h: int, expanded_w: int, top: int, left: int) -> PolygonMasks:
        """See `InstanceMasks`."""
        corner = np.asarray([left, top])
        return self._each((expanded_h, expanded_w), lambda points: points + corner)

    def warp(
        self,
        matrix: np.ndarray,
        out_shape: Shape,
        border_value: int = 0,
        interpolation: str = "bilinear",
    ) -> PolygonMasks:
        """See `InstanceMasks`. Points outside the image move to its border.

        Raises:
            BuildError: `border_value` is not 0: polygons have no border to fill.
        """
        if border_value:
            raise BuildError(f"PolygonMasks can't fill a border: border_value must be 0, got {border_value}")
        limit = np.asarray([out_shape[1], out_shape[0]])

        def change(points: np.ndarray) -> np.ndarray:
            return np.clip(points @ matrix[:, :2].T + matrix[:, 2], 0, limit)

        return self._each(out_shape, change)

    def targets(self, boxes: Tensor, inds: Tensor, out_shape: Shape, binarize: bool = True) -> Tensor:
        """See `InstanceMasks`."""
        if not len(boxes) or not len(self):
            return boxes.new_zeros((0, *out_shape))
        cuts = self.crop_and_resize(boxes, out_shape, inds, binarize=binarize).to_ndarray()
        return torch.from_numpy(cuts).to(boxes.device).to(boxes.dtype)

    def crop_and_resize(
        self,
        bboxes: np.ndarray | Tensor,
        out_shape: Shape,
        inds: np.ndarray | Tensor,
        device: torch.device | str = "cpu",
        interpolation: str = "bilinear",
        binarize: bool = True,
    ) -> PolygonMasks:
        """See `InstanceMasks`.

        Raises:
            BuildError: `binarize` is False; a polygon's pixels are in or out.
        """
        if not binarize:
            raise BuildError(
                "PolygonMasks are always binary: soft_mask_target needs bitmaps (poly2mask=True)"
            )
        boxes, chosen = as_index(bboxes).reshape(-1, 4), as_index(inds)
        # A box shorter than a pixel is treated as one long.
        sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
        scales = np.asarray(out_shape[::-1], boxes.dtype) / sizes
        cuts = []
        for corner, scale, index in zip(boxes[:, :2], scales, chosen if len(self) else (), strict=False):
            points = [polygon.reshape(-1, 2) for polygon in self.masks[index]]
            cuts.append([((one - corner) * scale).reshape(-1) for one in points])
        return PolygonMasks(cuts, *out_shape)

    def to_bitmap(self) -> BitmapMasks:
        """The same masks as bitmaps, by COCO's rules."""
        return BitmapMasks(self.to_ndarray(), self.height, self.width)

    def to_ndarray(self) -> np.ndarray:
        """(N, H, W) uint8, by COCO's rules."""
        return polygons_to_bitmaps(self.masks, self.height, self.width)

    @staticmethod
    def random(
        num_masks: int = 3,
        height: int = 32,
        width: int = 32,
        n_verts: int = 5,
        dtype: Any = np.float32,
        rng: np.random.Generator | int | None = None,
    ) -> PolygonMasks:
        """Star-shaped polygons of `n_verts` corners anywhere on the image; `rng` is a generator or a seed."""
        generator = np.random.default_rng(rng)
        masks = []
        for _ in range(num_masks):
            angles = np.sort(generator.uniform(0, 2 * np.pi, n_verts))
            radii = generator.uniform(0.2, 1, (n_verts, 1))
            points = radii * np.stack((np.cos(angles), np.sin(angles)), axis=1)
            points = (points - points.min(axis=0)) / np.ptp(points, axis=0)
            size = generator.uniform(0.2, 1)
            place = generator.uniform(0, 1 - size, 2)
            masks.append([((points * size + place) * (width, height)).astype(dtype).reshape(-1)])
        return PolygonMasks(masks, height, width)

    @staticmethod
    def cat(masks: Sequence[PolygonMasks]) -> PolygonMasks:
        """All masks of several images of one size.

        Raises:
            ValueError: There is none.
        """
        if not masks:
            raise ValueError("PolygonMasks.cat needs at least one PolygonMasks")
        return PolygonMasks([one for part in masks for one in part], masks[0].height, masks[0].width)


def _area(polygon: np.ndarray) -> float:
    """By the shoelace formula."""
    x, y = polygon[0::2], polygon[1::2]
    return 0.5 * float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))
