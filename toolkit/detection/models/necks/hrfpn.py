"""Pyramid of the branches of HRNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.necks.levels import check_inputs
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.backbones.common import maybe_recomputed
from toolkit.model.cnn import ConvModule

Cfg = dict[str, Any]


@MODELS.register_module()
class HRFPN(BaseModule):
    """All branches at the finest size, mixed, and pooled to a pyramid (Sun et al., "High-Resolution
    Representations for Labeling Pixels and Regions", 2019).

    State-dict keys: ``reduction_conv.conv.*``, ``fpn_convs.i.conv.*``.

    Args:
        in_channels: Channels of the branches, finest first.
        out_channels: Channels of all outputs.
        num_outs: How many outputs, each half as large as the one before.
        pooling_type: 'AVG' or 'MAX'.
        conv_cfg: Config of the convolutions.
        norm_cfg: Kept for configs; there are no norms.
        with_cp: Recompute the convolutions in the backward pass to save memory.
        stride: Of the last convolutions.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int = 5,
        pooling_type: str = "AVG",
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        with_cp: bool = False,
        stride: int = 1,
        init_cfg: Any = {"type": "Caffe2Xavier", "layer": "Conv2d"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        self.num_ins, self.num_outs, self.with_cp = len(in_channels), num_outs, with_cp
        self.reduction_conv = ConvModule(sum(in_channels), out_channels, 1, conv_cfg=conv_cfg, act_cfg=None)
        self.fpn_convs = nn.ModuleList(
            ConvModule(
                out_channels, out_channels, 3, stride=stride, padding=1, conv_cfg=conv_cfg, act_cfg=None
            )
            for _ in range(num_outs)
        )
        self.pooling = F.max_pool2d if pooling_type == "MAX" else F.avg_pool2d

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of the branches.

        Args:
            inputs: Map i is (N, in_channels[i], H/2^i, W/2^i).

        Returns:
            Map i is (N, out_channels, H/2^i, W/2^i) where `stride` is 1.
        """
        check_inputs("HRFPN", self.num_ins, len(inputs))
        large = [
            x if i == 0 else F.interpolate(x, scale_factor=2**i, mode="bilinear")
            for i, x in enumerate(inputs)
        ]
        mixed = maybe_recomputed(self.reduction_conv, torch.cat(large, dim=1), self.with_cp)
        outs = []
        for i, conv in enumerate(self.fpn_convs):
            x = mixed if i == 0 else self.pooling(mixed, kernel_size=2**i, stride=2**i)
            outs.append(maybe_recomputed(conv, x, self.with_cp))
        return tuple(outs)
