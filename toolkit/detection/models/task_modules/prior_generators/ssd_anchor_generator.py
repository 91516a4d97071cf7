"""Anchors of SSD, and those of MMDetection 1.x."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.prior_generators.anchor_generator import AnchorGenerator
from toolkit.detection.models.task_modules.prior_generators.base import GridPriors, Size
from toolkit.detection.registry import TASK_UTILS
from toolkit.utils import BuildError

# The smallest anchors, in percent of the input, of each published setting: (from, to).
_FIRST = {(300, 0.15): (7, 15), (300, 0.2): (10, 20), (512, 0.1): (4, 10), (512, 0.15): (7, 15)}


@TASK_UTILS.register_module()
class SSDAnchorGenerator(AnchorGenerator):
    """Anchors of a size a level, with the ratios of the level (Liu et al., "SSD", 2015, section 2.2).

    A level has an anchor of its least size, one of the geometric mean of its least and its largest, and two
    for each ratio.

    Args:
        strides: Of each level in pixels.
        ratios: Width to height of further anchors, for each level; the inverse is added.
        min_sizes: The least size of each level in pixels.
        max_sizes: The largest size of each level in pixels.
        basesize_ratio_range: The least and largest size in parts of the input, where sizes are not given.
        input_size: Side of the input, 300 or 512, where sizes are not given.
        scale_major: See `AnchorGenerator`.
        use_box_type: See `AnchorGenerator`.

    Raises:
        BuildError: Sizes are given in part, are not one a level, or are not known for the input.
    """

    def __init__(
        self,
        strides: Sequence[int | Size],
        ratios: Sequence[Sequence[float]],
        min_sizes: Sequence[float] | None = None,
        max_sizes: Sequence[float] | None = None,
        basesize_ratio_range: tuple[float, float] = (0.15, 0.9),
        input_size: int = 300,
        scale_major: bool = True,
        use_box_type: bool = False,
    ) -> None:
        GridPriors.__init__(self, strides)
        if (min_sizes is None) != (max_sizes is None):
            raise BuildError("anchors of SSD need both min_sizes and max_sizes, or none of them")
        if min_sizes is None or max_sizes is None:
            min_sizes, max_sizes = _published_sizes(len(self.strides), basesize_ratio_range, input_size)
        lengths = {len(min_sizes), len(max_sizes), len(ratios), len(self.strides)}
        if len(lengths) > 1:
            raise BuildError(
                f"anchors of SSD need ratios and sizes for each of {len(self.strides)} strides, got "
                f"{len(ratios)} ratios, {len(min_sizes)} min_sizes and {len(max_sizes)} max_sizes"
            )
        self.input_size, self.basesize_ratio_range = input_size, basesize_ratio_range
        self.base_sizes = list(min_sizes)
        self.scales = [  # type: ignore[assignment]
            torch.tensor([1.0, math.sqrt(most / least)])
            for least, most in zip(min_sizes, max_sizes, strict=True)
        ]
        self.ratios = [  # type: ignore[assignment]
            torch.tensor([1.0, *(one for ratio in level for one in (1 / ratio, ratio))]) for level in ratios
        ]
        self.scale_major, self.use_box_type = scale_major, use_box_type
        self.center_offset = 0.0
        self.centers = [self._center(stride) for stride in self.strides]
        self.base_anchors = self.gen_base_anchors()

    def _center(self, stride: Size) -> tuple[float, float]:
        return stride[0] / 2, stride[1] / 2

    def gen_base_anchors(self) -> list[Tensor]:
        """The anchors of a cell at the origin, (A, 4), for each level."""
        assert self.centers is not None
        levels = []
        for size, scales, ratios, center in zip(
            self.base_sizes, self.scales, self.ratios, self.centers, strict=True
        ):
            anchors = self.gen_single_level_base_anchors(size, scales, ratios, center)
            # all ratios of the first scale, with the square of the second scale in second place
            count = len(ratios)
            levels.append(anchors[[0, count, *range(1, count)]])
        return levels


def _published_sizes(
    num_levels: int, ratio_range: tuple[float, float], input_size: int
) -> tuple[list[int], list[int]]:
    """The least and the largest sizes of the levels, as SSD's authors chose them."""
    first = _FIRST.get((input_size, ratio_range[0]))
    if first is None:
        known = ", ".join(f"input_size={size} with {part}" for size, part in _FIRST)
        raise BuildError(
            f"sizes of SSD's anchors are not known for input_size={input_size} and basesize_ratio_range from "
            f"{ratio_range[0]}; known are {known}: else give min_sizes and max_sizes"
        )
    low, high = (int(part * 100) for part in ratio_range)
    step = (high - low) // (num_levels - 2)
    percents = [first, *((part, part + step) for part in range(low, high + 1, step))]
    sizes = [[int(input_size * part / 100) for part in parts] for parts in zip(*percents, strict=True)]
    return sizes[0], sizes[1]


@TASK_UTILS.register_module()
class LegacyAnchorGenerator(AnchorGenerator):
    """Anchors as in MMDetection 1.x: at whole pixels, and a pixel smaller.

    Arguments: those of `AnchorGenerator`; `center_offset` was always 0.5.

    Examples:
        >>> generator = LegacyAnchorGenerator([16], [1.0], [1.0], [9], center_offset=0.5)
        >>> generator.grid_priors([(1, 2)], device="cpu")[0]
        tensor([[ 0.,  0.,  8.,  8.],
                [16.,  0., 24.,  8.]])
    """

    def gen_single_level_base_anchors(
        self, base_size: float, scales: Tensor, ratios: Tensor, center: tuple[float, float] | None = None
    ) -> Tensor:
        """See `AnchorGenerator.gen_single_level_base_anchors`."""
        if center is None:
            center = (self.center_offset * (base_size - 1), self.center_offset * (base_size - 1))
        anchors = super().gen_single_level_base_anchors(base_size, scales, ratios, center)
        return (anchors + anchors.new_tensor([0.5, 0.5, -0.5, -0.5])).round()


@TASK_UTILS.register_module()
class LegacySSDAnchorGenerator(SSDAnchorGenerator, LegacyAnchorGenerator):
    """Anchors of SSD as in MMDetection 1.x; see `LegacyAnchorGenerator`.

    Args:
        strides: See `SSDAnchorGenerator`.
        ratios: See `SSDAnchorGenerator`.
        basesize_ratio_range: See `SSDAnchorGenerator`.
        input_size: See `SSDAnchorGenerator`.
        scale_major: See `SSDAnchorGenerator`.
        use_box_type: See `SSDAnchorGenerator`.
    """

    def __init__(
        self,
        strides: Sequence[int | Size],
        ratios: Sequence[Sequence[float]],
        basesize_ratio_range: tuple[float, float],
        input_size: int = 300,
        scale_major: bool = True,
        use_box_type: bool = False,
    ) -> None:
        super().__init__(
            strides,
            ratios,
            basesize_ratio_range=basesize_ratio_range,
            input_size=input_size,
            scale_major=scale_major,
            use_box_type=use_box_type,
        )

    def _center(self, stride: Size) -> tuple[float, float]:
        return (stride[0] - 1) / 2, (stride[1] - 1) / 2
