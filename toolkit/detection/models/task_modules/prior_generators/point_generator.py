"""Points as priors: the places of feature maps themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.prior_generators.base import Device, GridPriors, Size, grid_shifts
from toolkit.detection.registry import TASK_UTILS


@TASK_UTILS.register_module()
class MlvlPointGenerator(GridPriors):
    """A point for every place of a pyramid of feature maps.

    Args:
        strides: Of each level in pixels; one number, or ``(x, y)``.
        offset: Where in its cell a point stands, in strides from the cell's corner.

    Examples:
        >>> MlvlPointGenerator([8]).grid_priors([(1, 2)], device="cpu")[0]
        tensor([[ 4.,  4.],
                [12.,  4.]])
    """

    def __init__(self, strides: Sequence[int | Size], offset: float = 0.5) -> None:
        super().__init__(strides)
        self.offset = offset

    @property
    def num_base_priors(self) -> list[int]:
        """1 a level."""
        return [1] * self.num_levels

    def single_level_grid_priors(
        self,
        featmap_size: Size,
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
        with_stride: bool = False,
    ) -> Tensor:
        """The points (H·W, 2) of one level as x, y in pixels, computed anew.

        Args:
            featmap_size: Height and width.
            level_idx: The level.
            dtype: Of the points.
            device: Where they are.
            with_stride: Give (H·W, 4): x, y, and the strides in x and in y.
        """
        stride = self.strides[level_idx]
        columns = list(grid_shifts(featmap_size, stride, self.offset, dtype, device))
        if with_stride:
            columns += [torch.full_like(columns[0], side) for side in stride]
        return torch.stack(columns, dim=-1).flatten(0, 1)

    def sparse_priors(
        self,
        prior_idxs: Tensor,
        featmap_size: Size,
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
    ) -> Tensor:
        """The points (K, 2) at some places (K,) of a level, without making the others."""
        height, width = featmap_size
        stride_w, stride_h = self.strides[level_idx]
        x = (prior_idxs % width + self.offset) * stride_w
        rows = torch.div(prior_idxs, width, rounding_mode="floor") % height
        return torch.stack((x, (rows + self.offset) * stride_h), dim=1).to(device=device, dtype=dtype)

    def __repr__(self) -> str:
        return f"MlvlPointGenerator(strides={self.strides}, offset={self.offset})"
