"""Anchors of fixed sizes and shapes at every place of the feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.prior_generators.base import (
    Device,
    GridPriors,
    Size,
    anchor_inside_flags,
    grid_shifts,
)
from toolkit.detection.registry import TASK_UTILS
from toolkit.utils import BuildError

__all__ = ["AnchorGenerator", "anchor_inside_flags"]


@TASK_UTILS.register_module()
class AnchorGenerator(GridPriors):
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
        super().__init__(strides)
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

    @property
    def num_base_priors(self) -> list[int]:
        """How many anchors a place of each level has."""
        return [len(anchors) for anchors in self.base_anchors]

    @property
    def num_base_anchors(self) -> list[int]:
        """The older name of `num_base_priors`."""
        return self.num_base_priors

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

    def single_level_grid_priors(
        self,
        featmap_size: Size,
        level_idx: int,
        dtype: torch.dtype = torch.float32,
        device: Device = "cuda",
    ) -> Tensor:
        """The anchors of one level, (H·W·A, 4), computed anew."""
        base = self.base_anchors[level_idx].to(device=device, dtype=dtype)
        x, y = grid_shifts(featmap_size, self.strides[level_idx], 0, dtype, device)
        shift = torch.stack((x, y, x, y), dim=-1)  # (H, W, 4)
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

    def __repr__(self) -> str:
        names = ("strides", "ratios", "scales", "base_sizes", "scale_major", "centers", "center_offset")
        return f"AnchorGenerator({', '.join(f'{name}={getattr(self, name)}' for name in names)})"
