"""Further ways to say how large an image is to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms.geometric import Resize
from toolkit.transforms import BaseTransform, Pad
from toolkit.transforms.image_ops import imrescale
from toolkit.utils.errors import ConfigError


@TRANSFORMS.register_module()
class FixScaleResize(Resize):
    """Resize, with sides rounded down instead of half up where the aspect ratio is kept.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `scale`, `scale_factor`, `keep_ratio`, `homography_matrix`.

    Args:
        scale: See `Resize`, and so for the further arguments.
        scale_factor: See `Resize`.
        keep_ratio: See `Resize`.
        clip_object_border: See `Resize`.
        backend: See `Resize`.
        interpolation: See `Resize`.
    """

    def fitted(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        """See `Resize`."""
        width, height = size
        factor = min(max(scale) / max(size), min(scale) / min(size))
        return int(width * factor), int(height * factor)


@TRANSFORMS.register_module()
class FixShapeResize(Resize):
    """Resize to a width and a height; with the aspect ratio kept, the rest is padded.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `scale`, `scale_factor`, `keep_ratio`, `homography_matrix`, `pad_shape`,
    `pad_fixed_size`, `pad_size_divisor`.

    Args:
        width: Of the result, in pixels.
        height: Of the result, in pixels.
        pad_val: What to pad with; see `Pad`.
        keep_ratio: Whether to scale both sides alike, and to pad at the right and the bottom.
        clip_object_border: See `Resize`.
        backend: See `Resize`.
        interpolation: See `Resize`.
    """

    writes: ClassVar[tuple[str, ...]] = (*Resize.writes, "pad_shape", "pad_fixed_size", "pad_size_divisor")

    def __init__(
        self,
        width: int,
        height: int,
        pad_val: float | Mapping[str, Any] | None = None,
        keep_ratio: bool = False,
        clip_object_border: bool = True,
        backend: str = "cv2",
        interpolation: str = "bilinear",
    ) -> None:
        super().__init__((width, height), None, keep_ratio, clip_object_border, backend, interpolation)
        self.width = width
        self.height = height
        self.pad = Pad(size=(width, height), pad_val=pad_val) if keep_ratio else None

    def fitted(self, size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
        """See `Resize`; here width is compared with width."""
        across, down = self.factor(size, size)
        return int(size[0] * across + 0.5), int(size[1] * down + 0.5)

    def factor(self, size: tuple[int, int], new_size: tuple[int, int]) -> tuple[float, float]:
        """See `Resize`; with the aspect ratio kept it is one factor, before sides are rounded."""
        if not self.keep_ratio:
            return super().factor(size, new_size)
        factor = min(self.width / size[0], self.height / size[1])
        return factor, factor

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample in its new size."""
        results = super().transform(results)
        if self.pad is None:
            return results
        results["scale"] = results["img_shape"][::-1]
        return self.pad.transform(results)


@TRANSFORMS.register_module()
class ResizeShortestEdge(BaseTransform):
    """Scale the shorter side to a length, as far as the longer one stays within another.

    Reads: `img`.
    Changes: `gt_bboxes`, `gt_masks`, `gt_seg_map`.
    Writes: `img`, `img_shape`, `scale`, `scale_factor`, `keep_ratio`, `homography_matrix`.

    Args:
        scale: The shorter side in pixels; the smaller one of two numbers.
        max_size: The longer side at most.
        resize_type: Name of the transform that resizes.
        **resize_kwargs: Its further arguments, such as `interpolation`.
    """

    reads: ClassVar[tuple[str, ...]] = ("img",)
    changes: ClassVar[tuple[str, ...]] = Resize.changes
    writes: ClassVar[tuple[str, ...]] = Resize.writes

    def __init__(
        self,
        scale: int | tuple[int, int],
        max_size: int | None = None,
        resize_type: str = "Resize",
        **resize_kwargs: Any,
    ) -> None:
        self.scale = scale
        self.max_size = max_size
        self.resize = TRANSFORMS.build({"type": resize_type, "scale": (1, 1), **resize_kwargs})

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample in its new size."""
        self.resize.scale = self._size(*results["img"].shape[:2])
        return self.resize(results)

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """(width, height) to scale to."""
        factor = (self.scale if isinstance(self.scale, (int, float)) else min(self.scale)) / min(
            height, width
        )
        if self.max_size:
            factor = min(factor, self.max_size / max(height, width))
        return int(width * factor + 0.5), int(height * factor + 0.5)


@TRANSFORMS.register_module()
class SegRescale(BaseTransform):
    """Scale the semantic map alone, to the size at which a head predicts.

    Reads: `gt_seg_map`.
    Changes: none.
    Writes: `gt_seg_map`.

    Args:
        scale_factor: Factor of both sides.
        backend: 'cv2' or 'pillow'.

    Raises:
        ConfigError: The factor isn't positive.
    """

    reads: ClassVar[tuple[str, ...]] = ("gt_seg_map",)
    writes: ClassVar[tuple[str, ...]] = ("gt_seg_map",)

    def __init__(self, scale_factor: float = 1, backend: str = "cv2") -> None:
        if scale_factor <= 0:
            raise ConfigError(f"SegRescale got scale_factor={scale_factor}; it must be positive.")
        self.scale_factor = scale_factor
        self.backend = backend

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """The sample with its semantic map scaled."""
        if self.scale_factor != 1:
            seg_map: np.ndarray = results["gt_seg_map"]
            results["gt_seg_map"] = imrescale(
                seg_map, self.scale_factor, interpolation="nearest", backend=self.backend
            )
        return results
