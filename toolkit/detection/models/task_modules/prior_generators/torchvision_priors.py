"""Anchors and points as torchvision's detectors have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.prior_generators.anchor_generator import AnchorGenerator
from toolkit.detection.models.task_modules.prior_generators.base import Device, GridPriors, Size, grid_shifts
from toolkit.detection.registry import TASK_UTILS
from toolkit.utils import BuildError


@TASK_UTILS.register_module()
class TorchvisionAnchorGenerator(AnchorGenerator):
    """For weights that were trained with torchvision: their numbers come out only with their anchors.

    They differ from those of `AnchorGenerator` in two ways: corners are rounded to whole pixels, and the
    distance of anchors is the size of the batch divided by that of the feature map, rounded down, which is
    less than the stride where a map was rounded up.

    Args:
        strides: Of each level in pixels.
        sizes: Of the anchors of each level in pixels.
        ratios: Height to width of the anchors.

    Raises:
        BuildError: There isn't the same number of sizes for each stride.
    """

    def __init__(
        self, strides: Sequence[int | Size], sizes: Sequence[Sequence[float]], ratios: Sequence[float]
    ) -> None:
        if len(sizes) != len(strides) or len({len(level) for level in sizes}) != 1:
            raise BuildError(f"sizes needs as many numbers for each of {len(strides)} strides, got {sizes}")
        self.sizes = [torch.tensor(level, dtype=torch.float32) for level in sizes]
        super().__init__(strides, ratios, scales=[1.0] * len(sizes[0]))

    def gen_base_anchors(self) -> list[Tensor]:
        """The anchors of a cell at the origin, (A, 4), for each level."""
        return [self.gen_single_level_base_anchors(1.0, sizes, self.ratios).round() for sizes in self.sizes]

    def grid_priors(
        self,
        featmap_sizes: Sequence[Size],
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
        **kwargs: Any,
    ) -> list[Tensor]:
        """See `GridPriors`. The finest map is taken to be exactly the batch divided by its stride."""

        def make() -> list[Tensor]:
            places = _places(self, featmap_sizes, dtype, device)
            bases = [base.to(device=device, dtype=dtype) for base in self.base_anchors]
            return [
                (place.repeat(1, 1, 2)[:, :, None] + base).reshape(-1, 4)
                for place, base in zip(places, bases, strict=True)
            ]

        return self._cached(_key(featmap_sizes, dtype, device), make)


class TorchvisionPointGenerator(GridPriors):
    """A point in the corner of each cell, at the distances of `TorchvisionAnchorGenerator`.

    Args:
        strides: Of each level in pixels.
    """

    @property
    def num_base_priors(self) -> list[int]:
        """How many points a place of each level has: one."""
        return [1] * self.num_levels

    def single_level_grid_priors(
        self,
        featmap_size: Size,
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
    ) -> Tensor:
        """The points of one level, (H·W, 2), at the distance of its stride."""
        return torch.stack(
            grid_shifts(featmap_size, self.strides[level_idx], 0, dtype, device), dim=-1
        ).reshape(-1, 2)

    def grid_priors(
        self,
        featmap_sizes: Sequence[Size],
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
        **kwargs: Any,
    ) -> list[Tensor]:
        """See `GridPriors`. The finest map is taken to be exactly the batch divided by its stride."""
        return self._cached(
            _key(featmap_sizes, dtype, device),
            lambda: [place.reshape(-1, 2) for place in _places(self, featmap_sizes, dtype, device)],
        )


def _key(featmap_sizes: Sequence[Size], dtype: torch.dtype, device: Device) -> tuple[Any, ...]:
    return "priors", tuple((int(h), int(w)) for h, w in featmap_sizes), dtype, str(device)


def _places(
    generator: GridPriors, featmap_sizes: Sequence[Size], dtype: torch.dtype, device: Device
) -> list[Tensor]:
    """The x and y of the cells of each level, (H, W, 2)."""
    generator._check_levels(featmap_sizes)
    stride_w, stride_h = generator.strides[0]
    height, width = int(featmap_sizes[0][0]) * stride_h, int(featmap_sizes[0][1]) * stride_w
    distances = [(width // int(w), height // int(h)) for h, w in featmap_sizes]
    return [
        torch.stack(grid_shifts(size, distance, 0, dtype, device), dim=-1)
        for size, distance in zip(featmap_sizes, distances, strict=True)
    ]
