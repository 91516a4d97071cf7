"""What generators of anchors and of points have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.modules.utils import _pair

from toolkit.utils import BuildError

Device = torch.device | str
Size = tuple[int, int]
_T = TypeVar("_T")
# Anchors of an 800 x 1333 image take 4 MB; training on many sizes must not fill the memory with them.
_CACHED = 16


class GridPriors(ABC):
    """Base of priors that stand at every place of a pyramid of feature maps.

    The priors of a map lie in the order (y, x, prior of the place). They are kept for the sizes seen last, so
    what the methods return is shared: it must not be changed in place.

    Args:
        strides: Of each level in pixels; one number, or ``(x, y)``.
    """

    def __init__(self, strides: Sequence[int | Size]) -> None:
        self.strides: list[Size] = [_pair(stride) for stride in strides]
        self._cache: dict[Hashable, Any] = {}

    @property
    @abstractmethod
    def num_base_priors(self) -> list[int]:
        """How many priors a place of each level has."""

    @abstractmethod
    def single_level_grid_priors(
        self,
        featmap_size: Size,
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
    ) -> Tensor:
        """The priors of one level, a row each, computed anew."""

    @property
    def num_levels(self) -> int:
        """How many levels there are."""
        return len(self.strides)

    def grid_priors(
        self,
        featmap_sizes: Sequence[Size],
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
        **kwargs: Any,
    ) -> list[Tensor]:
        """The priors of each level: (H·W·A, 4) for anchors, (H·W, 2) for points.

        Args:
            featmap_sizes: Height and width of each feature map.
            dtype: Of the priors.
            device: Where they are.
            **kwargs: Of `single_level_grid_priors`.
        """
        self._check_levels(featmap_sizes)
        sizes = tuple((int(h), int(w)) for h, w in featmap_sizes)
        return self._cached(
            ("priors", sizes, dtype, str(device), *sorted(kwargs.items())),
            lambda: [
                self.single_level_grid_priors(size, i, dtype, device, **kwargs)
                for i, size in enumerate(sizes)
            ],
        )

    def valid_flags(
        self, featmap_sizes: Sequence[Size], pad_shape: Sequence[int], device: Device = "cuda"
    ) -> list[Tensor]:
        """Which priors have their cell inside of the padded image: (H·W·A,) bool a level."""
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
        """The priors that may train in an image.

        Args:
            featmap_sizes: Height and width of each feature map.
            img_meta: ``img_shape``, and ``pad_shape`` where it differs.
            allowed_border: How far, in pixels, an anchor may leave the image; negative for no limit.
            device: Where the priors are.

        Returns:
            Places among the priors of all levels, (K,) int64; None for all of them.
        """
        sizes = tuple((int(h), int(w)) for h, w in featmap_sizes)
        pad_shape = tuple(img_meta.get("pad_shape", img_meta["img_shape"])[:2])
        if allowed_border < 0 and self.valid_sizes(sizes, pad_shape) == list(sizes):
            return None  # known without looking at the priors
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


def grid_shifts(
    featmap_size: Size, stride: Size, offset: float, dtype: torch.dtype, device: Device
) -> tuple[Tensor, Tensor]:
    """The x and y, (H, W) each, of places `offset` strides from the corners of a map's cells."""
    height, width = featmap_size
    x = ((torch.arange(width, device=device) + offset) * stride[0]).to(dtype)
    y = ((torch.arange(height, device=device) + offset) * stride[1]).to(dtype)
    return x.expand(height, width), y.unsqueeze(1).expand(height, width)


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
