"""Layers that a summary of the whole map steers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.model.cnn.conv_module import ConvModule
from toolkit.registry import MODELS
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]
_RELU = {"type": "ReLU"}


class _Squeeze(BaseModule):
    """Mean of a map, then two 1x1 convolutions with activations of their own."""

    def __init__(
        self,
        channels: int,
        out_channels: int,
        ratio: float,
        conv_cfg: Cfg | None,
        act_cfg: Cfg | Sequence[Cfg],
        init_cfg: InitCfg,
    ) -> None:
        super().__init__(init_cfg)
        acts = (act_cfg, act_cfg) if isinstance(act_cfg, Mapping) else tuple(act_cfg)
        if len(acts) != 2:
            raise BuildError(f"act_cfg of {type(self).__name__} must be a config or two of them, got {acts}")
        middle = int(channels / ratio)
        self.channels = channels
        self.conv1 = ConvModule(channels, middle, 1, conv_cfg=conv_cfg, act_cfg=acts[0])
        self.conv2 = ConvModule(middle, out_channels, 1, conv_cfg=conv_cfg, act_cfg=acts[1])

    def _summary(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(F.adaptive_avg_pool2d(x, 1)))


@MODELS.register_module()
class SELayer(_Squeeze):
    """Weights the channels of a map (Hu et al., "Squeeze-and-Excitation Networks", 2017).

    Args:
        channels: Channels of the input and the output.
        ratio: The weights are computed in ``int(channels / ratio)`` channels.
        conv_cfg: Config of the convolutions.
        act_cfg: The activations after the two convolutions, or one for both.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        channels: int,
        ratio: float = 16,
        conv_cfg: Cfg | None = None,
        act_cfg: Cfg | Sequence[Cfg] = (_RELU, {"type": "Sigmoid"}),
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(channels, channels, ratio, conv_cfg, act_cfg, init_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in, the same shape out."""
        return x * self._summary(x)


class DyReLU(_Squeeze):
    """The larger of two lines a channel, whose slopes and offsets depend on the image (Chen et al., "Dynamic
    ReLU", 2020).

    Args:
        channels: Channels of the input and the output.
        ratio: The lines are computed in ``int(channels / ratio)`` channels.
        conv_cfg: Config of the convolutions.
        act_cfg: The activations after the two convolutions, or one for both.
        init_cfg: See `BaseModule`.
    """

    expansion = 4

    def __init__(
        self,
        channels: int,
        ratio: float = 4,
        conv_cfg: Cfg | None = None,
        act_cfg: Cfg | Sequence[Cfg] = (_RELU, {"type": "HSigmoid", "bias": 3.0, "divisor": 6.0}),
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(channels, channels * self.expansion, ratio, conv_cfg, act_cfg, init_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) in, the same shape out."""
        slope1, offset1, slope2, offset2 = (self._summary(x) - 0.5).split(self.channels, dim=1)
        return torch.maximum(x * (slope1 * 2 + 1) + offset1, x * (slope2 * 2) + offset2)
