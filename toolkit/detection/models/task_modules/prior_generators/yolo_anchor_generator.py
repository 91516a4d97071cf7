"""Anchors of YOLO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.utils import _pair

from toolkit.detection.models.task_modules.prior_generators.anchor_generator import AnchorGenerator
from toolkit.detection.models.task_modules.prior_generators.base import GridPriors, Size
from toolkit.detection.registry import TASK_UTILS
from toolkit.utils import BuildError


@TASK_UTILS.register_module()
class YOLOAnchorGenerator(AnchorGenerator):
    """Anchors of given widths and heights in the middle of each cell (Redmon and Farhadi, "YOLOv3", 2018).

    Args:
        strides: Of each level in pixels.
        base_sizes: Width and height of each anchor, for each level; as many a level.
        use_box_type: See `AnchorGenerator`.

    Raises:
        BuildError: Levels have different numbers of anchors, or there is not a list a stride.
    """

    def __init__(
        self,
        strides: Sequence[int | Size],
        base_sizes: Sequence[Sequence[Size]],
        use_box_type: bool = False,
    ) -> None:
        GridPriors.__init__(self, strides)
        if len(base_sizes) != len(self.strides) or len({len(level) for level in base_sizes}) != 1:
            raise BuildError(
                f"base_sizes of YOLOAnchorGenerator must be as many sizes for each of {len(self.strides)} "
                f"strides, got {[len(level) for level in base_sizes]}"
            )
        sizes: Any = [[_pair(size) for size in level] for level in base_sizes]
        self.base_sizes = sizes
        self.centers = [(stride[0] / 2, stride[1] / 2) for stride in self.strides]
        self.use_box_type = use_box_type
        self.base_anchors = self.gen_base_anchors()

    def gen_base_anchors(self) -> list[Tensor]:
        """The anchors of a cell at the origin, (A, 4), for each level."""
        assert self.centers is not None
        levels = []
        for sizes, center in zip(self.base_sizes, self.centers, strict=True):
            half, middle = torch.tensor(sizes, dtype=torch.float32) / 2, torch.tensor(center)
            levels.append(torch.cat((middle - half, middle + half), dim=1))
        return levels

    def __repr__(self) -> str:
        return f"YOLOAnchorGenerator(strides={self.strides}, base_sizes={self.base_sizes})"
