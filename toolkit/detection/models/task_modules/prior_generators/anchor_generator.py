"""Anchors of fixed sizes and shapes at every place of the feature maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.modules.utils import _pair

from toolkit.detection.registry import TASK_UTILS
from toolkit.utils import BuildError

Device = torch.device | str
Size = tuple[int, int]
_T = TypeVar("_T")
# Anchors of an 800 x 1333 image take 4 MB; training on many sizes must not fill the memory with them.
_CACHED = 16


@TASK_UTILS.register_module()
class AnchorGenerator:
    """Anchors for a pyramid of feature maps (Ren et al., "Faster R-CNN", 2015).

    The anchors of a map lie in the order (y, x, base anchor). They are kept for the sizes seen last, so what
    the methods return is shared: it must not be changed in place.

    Args:
        strides: Of each level in pixels; one number, or ``(x, y)``.
        ratios: Height to width of the anchors.
        scales: Their sizes in units of `base_sizes`.
        base_sizes: Of each level in pixels; the strides by default.
        scale_major: Whether the scales of a ratio stand together, or the ratios of a scale.
        octave_base_scale: With `scales_per_octave`, in place of `scales`: scales are this times ``2^(i/n)``.
        scales_per_octave: That n.
        centers: Centre of the anchors of each level, in pixels from the cell's corner.
        center_offset: Centre in units of `base_sizes`, 0 to 1.
        use_box_type: Accepted for configs of MMDetection; boxes are tensors here.

    Raises:
        BuildError: The arguments contradict each other.

    Examples:
        >>> generator = AnchorGenerator(strides=[16], ratios=[1.0], scales=[1.0], base_sizes=[9])
        >>> generator.grid_priors([(1, 2)], device="cpu")[0]
        tensor([[-4.5000, -4.5000,  4.5000,  4.5000],
                [11.5000, -4.5000, 20.5000,  4.5000]])
    """

    def __init__(
        self,
        strides: Sequence[int | Size],
        ratios: Sequence[float],
        scales: Sequence[float] | None = None,
        base_sizes: Sequence[float] | None = None,
        scale_major: bool = True,
        octave_base_scale: float | None = None,
        scales_per_octave: int | None = None,
        centers: Sequence[tuple[float, float]] | None = None,
        center_offset: float = 0.0,
        use_box_type: bool = False,
    ) -> None:
        self.strides: list[Size] = [_pair(stride) for stride in strides]
        self.base_sizes = [min(stride) for stride in self.strides] if base_sizes is None else list(base_sizes)
        if not 0 <= center_offset <= 1:
            raise BuildError(f"center_offset of anchors must be from 0 to 1, got {center_offset}")
        if centers is not None and center_offset != 0:
            raise BuildError("set centers or center_offset of anchors, not both")
        for name, values in (("base_sizes", self.base_sizes), ("centers", centers)):
            if values is not None and len(values) != len(self.strides):
                raise BuildError(f"{name} of anchors needs a value for each of {len(self.strides)} strides")
        octave = octave_base_scale is not None and scales_per_octave is not None
        if octave == (scales is not None):
            raise BuildError(
                "anchors need scales, or octave_base_scale and scales_per_octave; one of both ways"
            )
        if scales is None:
            assert octave_base_scale is not None
            assert scales_per_octave is not None
            scales = [octave_base_scale * 2 ** (i / scales_per_octave) for i in range(scales_per_octave)]
        self.scales = torch.tensor(list(scales), dtype=torch.float32)
        self.ratios = torch.tensor(list(ratios), dtype=torch.float32)
        self.octave_base_scale = octave_base_scale
        self.scales_per_octave = scales_per_octave
        self.scale_major = scale_major
        self.centers = centers
        self.center_offset = center_offset
        self.use_box_type = use_box_type
        self.base_anchors = self.gen_base_anchors()
        self._cache: dict[Hashable, Any] = {}

    @property
    def num_base_priors(self) -> list[int]:
        """How many anchors a place of each level has."""
        return [len(anchors) for anchors in self.base_anchors]

    @property
    def num_base_anchors(self) -> list[int]:
        """The older name of `num_base_priors`."""
        return self.num_base_priors

    @property
    def num_levels(self) -> int:
        """How many levels there are."""
        return len(self.strides)

    def gen_base_anchors(self) -> list[Tensor]:
        """The anchors of a cell at the origin, (A, 4), for each level."""
        return [
            self.gen_single_level_base_anchors(
                size, self.scales, self.ratios, None if self.centers is None else self.centers[level]
            )
            for level, size in enumerate(self.base_sizes)
        ]

    def gen_single_level_base_anchors(
        self, base_size: float, scales: Tensor, ratios: Tensor, center: tuple[float, float] | None = None
    ) -> Tensor:
        """The anchors of a cell at the origin, (A, 4).

        Args:
            base_size: Side of an anchor of scale 1 and ratio 1, in pixels.
            scales: (S,).
            ratios: (R,).
            center: Of the anchors in pixels.
        """
        if center is None:
            center = (self.center_offset * base_size, self.center_offset * base_size)
        tall = ratios.sqrt()
        if self.scale_major:
            widths = (base_size * (1 / tall)[:, None] * scales[None, :]).flatten()
            heights = (base_size * tall[:, None] * scales[None, :]).flatten()
        else:
            widths = (base_size * scales[:, None] * (1 / tall)[None, :]).flatten()
            heights = (base_size * scales[:, None] * tall[None, :]).flatten()
        x, y = center
        return torch.stack((x - widths / 2, y - heights / 2, x + widths / 2, y + heights / 2), dim=-1)

    def grid_priors(
        self, featmap_sizes: Sequence[Size], dtype: torch.dtype = torch.float32, device: Device = "cuda"
    ) -> list[Tensor]:
        """The anchors of each level, (H·W·A, 4).

        Args:
            featmap_sizes: Height and width of each feature map.
            dtype: Of the anchors.
            device: Where they are.
        """
        self._check_levels(featmap_sizes)
        sizes = tuple((int(h), int(w)) for h, w in featmap_sizes)
        return self._cached(
            ("priors", sizes, dtype, str(device)),
            lambda: [self.single_level_grid_priors(size, i, dtype, device) for i, size in enumerate(sizes)],
        )

    def single_level_grid_priors(
        self,
        featmap_size: Size,
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
    ) -> Tensor:
        """The anchors of one level, (H·W·A, 4), computed anew."""
        base = self.base_anchors[level_idx].to(device=device, dtype=dtype)
        height, width = featmap_size
        stride_w, stride_h = self.strides[level_idx]
        x = torch.arange(width, device=device).to(dtype) * stride_w
        y = torch.arange(height, device=device).to(dtype) * stride_h
        shift = torch.stack(torch.broadcast_tensors(x, y[:, None], x, y[:, None]), dim=-1)  # (H, W, 4)
        return (shift[:, :, None] + base).reshape(-1, 4)

    def sparse_priors(
        self,
        prior_idxs: Tensor,
        featmap_size: Size,
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
    ) -> Tensor:
        """The anchors (K, 4) at some places (K,) of a level's anchors, without making the others."""
        width, count = featmap_size[1], self.num_base_priors[level_idx]
        cell = prior_idxs // count
        stride_w, stride_h = self.strides[level_idx]
        x, y = (cell % width) * stride_w, torch.div(cell, width, rounding_mode="floor") * stride_h
        base = self.base_anchors[level_idx].to(device)[prior_idxs % count]
        return (torch.stack((x, y, x, y), dim=1).to(device) + base).to(dtype)

    def valid_flags(
        self, featmap_sizes: Sequence[Size], pad_shape: Sequence[int], device: Device = "cuda"
    ) -> list[Tensor]:
        """Which anchors have their cell inside of the padded image: (H·W·A,) bool a level."""
        flags = []
        for level, (size, valid) in enumerate(
            zip(featmap_sizes, self.valid_sizes(featmap_sizes, pad_shape), strict=True)
        ):
            flag = torch.zeros(size, dtype=torch.bool, device=device)
            flag[: valid[0], : valid[1]] = True
            flags.append(flag.flatten().repeat_interleave(self.num_base_priors[level]))
        return flags

    def valid_sizes(self, featmap_sizes: Sequence[Size], pad_shape: Sequence[int]) -> list[Size]:
        """How many rows and columns of each feature map belong to an image that is padded to `pad_shape`."""
        self._check_levels(featmap_sizes)
        height, width = pad_shape[:2]
        return [
            (min(math.ceil(height / stride_h), feat_h), min(math.ceil(width / stride_w), feat_w))
            for (feat_h, feat_w), (stride_w, stride_h) in zip(featmap_sizes, self.strides, strict=True)
        ]

    def inside_inds(
        self,
        featmap_sizes: Sequence[Size],
        img_meta: dict[str, Any],
        allowed_border: float,
        device: Device,
    ) -> Tensor | None:
        """The anchors that may train in an image.

        Args:
            featmap_sizes: Height and width of each feature map.
            img_meta: ``img_shape``, and ``pad_shape`` where it differs.
            allowed_border: How far, in pixels, an anchor may leave the image; negative for no limit.
            device: Where the anchors are.

        Returns:
            Places among the anchors of all levels, (K,) int64; None for all of them.
        """
        sizes = tuple((int(h), int(w)) for h, w in featmap_sizes)
        pad_shape = tuple(img_meta.get("pad_shape", img_meta["img_shape"])[:2])
        if allowed_border < 0 and self.valid_sizes(sizes, pad_shape) == list(sizes):
            return None  # known without looking at the anchors
        img_shape = tuple(img_meta["img_shape"][:2]) if allowed_border >= 0 else None

        def find() -> Tensor:
            flags = torch.cat(self.valid_flags(sizes, pad_shape, device))
            if img_shape is not None:
                anchors = torch.cat(self.grid_priors(sizes, device=device))
                flags &= anchor_inside_flags(anchors, flags, img_shape, allowed_border)
            return flags.nonzero().squeeze(1)

        return self._cached(("inside", sizes, pad_shape, img_shape, allowed_border, str(device)), find)

    def _cached(self, key: Hashable, make: Callable[[], _T]) -> _T:
        if key in self._cache:
            self._cache[key] = self._cache.pop(key)  # now the youngest
            return self._cache[key]
        value = make()
        while len(self._cache) >= 2 * _CACHED:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = value
        return value

    def _check_levels(self, featmap_sizes: Sequence[Size]) -> None:
        if len(featmap_sizes) != self.num_levels:
            raise BuildError(
                f"anchors are set up for {self.num_levels} strides, the network gives {len(featmap_sizes)} "
                "feature maps; make the strides of the anchor generator and num_outs of the neck agree"
            )

    def __repr__(self) -> str:
        names = ("strides", "ratios", "scales", "base_sizes", "scale_major", "centers", "center_offset")
        return f"AnchorGenerator({', '.join(f'{name}={getattr(self, name)}' for name in names)})"


def anchor_inside_flags(
    flat_anchors: Tensor, valid_flags: Tensor, img_shape: Sequence[int], allowed_border: float = 0
) -> Tensor:
    """Which anchors are valid and, with a border of 0 or more, leave the image by no more than that.

    Args:
        flat_anchors: (N, 4).
        valid_flags: (N,) bool.
        img_shape: Height and width.
        allowed_border: In pixels; negative for no limit.

    Returns:
        (N,) bool.
    """
    if allowed_border < 0:
        return valid_flags
    height, width = img_shape[:2]
    left, top, right, bottom = flat_anchors.unbind(-1)
    inside = (left >= -allowed_border) & (top >= -allowed_border)
    inside &= (right < width + allowed_border) & (bottom < height + allowed_border)
    return valid_flags & inside
