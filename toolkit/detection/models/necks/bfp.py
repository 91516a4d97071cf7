"""Balanced feature pyramid of Libra R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.necks.levels import check_inputs
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule, NonLocal2d
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_REFINEMENTS = (None, "conv", "non_local")


@MODELS.register_module()
class BFP(BaseModule):
    """Adds the refined mean of all levels to each of them (Pang et al., "Libra R-CNN", 2019).

    State-dict keys: ``refine.*``.

    Args:
        in_channels: Channels of all maps.
        num_levels: How many maps.
        refine_level: The level at whose size the mean is taken.
        refine_type: What refines the mean: 'conv', 'non_local' or None.
        conv_cfg: Config of its convolutions.
        norm_cfg: Config of its norms.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: `refine_level` or `refine_type` is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        num_levels: int,
        refine_level: int = 2,
        refine_type: str | None = None,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        init_cfg: Any = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        if refine_type not in _REFINEMENTS or not 0 <= refine_level < num_levels:
            raise BuildError(
                f"BFP of {num_levels} levels: refine_type must be one of {_REFINEMENTS}, got "
                f"{refine_type!r}; refine_level from 0 to {num_levels - 1}, got {refine_level}"
            )
        self.num_levels, self.refine_level = num_levels, refine_level
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.refine: nn.Module = nn.Identity()
        if refine_type == "conv":
            self.refine = ConvModule(in_channels, in_channels, 3, padding=1, **common)
        elif refine_type == "non_local":
            self.refine = NonLocal2d(in_channels, reduction=1, use_scale=False, **common)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """`num_levels` maps (N, in_channels, H_i, W_i), finest first; the same shapes out."""
        check_inputs("BFP", self.num_levels, len(inputs))
        size = inputs[self.refine_level].shape[2:]
        same = [
            F.adaptive_max_pool2d(x, size) if i < self.refine_level else F.interpolate(x, size=size)
            for i, x in enumerate(inputs)
        ]
        mean = self.refine(torch.stack(same).mean(dim=0))
        outs = []
        for i, x in enumerate(inputs):
            resize = F.interpolate if i < self.refine_level else F.adaptive_max_pool2d
            outs.append(x + resize(mean, x.shape[2:]))
        return tuple(outs)
