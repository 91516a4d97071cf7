"""Cross stage partial layers, of which YOLOX and RTMDet are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule, DepthwiseSeparableConvModule

Cfg = Mapping[str, Any]
NORM_CFG: dict[str, Any] = {"type": "BN", "momentum": 0.03, "eps": 0.001}
ACT_CFG: dict[str, Any] = {"type": "Swish"}
INIT_CFG: dict[str, Any] = {
    "type": "Kaiming",
    "layer": "Conv2d",
    "a": math.sqrt(5),
    "distribution": "uniform",
    "mode": "fan_in",
    "nonlinearity": "leaky_relu",
}


def conv_type(use_depthwise: bool) -> type[nn.Module]:
    """`DepthwiseSeparableConvModule` or `ConvModule`."""
    return DepthwiseSeparableConvModule if use_depthwise else ConvModule


class _Residual(BaseModule):
    """Two convolutions, with a shortcut where `add_identity` is set."""

    conv1: nn.Module
    conv2: nn.Module
    add_identity: bool

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        out = self.conv2(self.conv1(x))
        return out + x if self.add_identity else out


class DarknetBottleneck(_Residual):
    """A 1x1 and a 3x3 convolution with a shortcut (Redmon and Farhadi, "YOLOv3", 2018).

    State-dict keys: ``conv1.*`` and ``conv2.*``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expansion: Channels between the two, as a part of `out_channels`.
        add_identity: Whether there is a shortcut, where the channels allow it.
        use_depthwise: The second convolution is depthwise separable.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        add_identity: bool = True,
        use_depthwise: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = int(out_channels * expansion)
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, hidden, 1, **common)
        self.conv2 = conv_type(use_depthwise)(hidden, out_channels, 3, padding=1, **common)
        self.add_identity = add_identity and in_channels == out_channels


class CSPNeXtBlock(_Residual):
    """A 3x3 and a large depthwise separable convolution with a shortcut (Lyu et al., "RTMDet", 2022).

    State-dict keys: ``conv1.*`` and ``conv2.*``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expansion: Channels between the two, as a part of `out_channels`.
        add_identity: Whether there is a shortcut, where the channels allow it.
        use_depthwise: The first convolution is depthwise separable, too.
        kernel_size: Of the second convolution.
        conv_cfg: Config of the second convolution.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion: float = 0.5,
        add_identity: bool = True,
        use_depthwise: bool = False,
        kernel_size: int = 5,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = {"type": "SiLU"},  # noqa: B006 - read only
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = int(out_channels * expansion)
        common: dict[str, Any] = {"norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = conv_type(use_depthwise)(in_channels, hidden, 3, padding=1, **common)
        self.conv2 = DepthwiseSeparableConvModule(
            hidden, out_channels, kernel_size, padding=kernel_size // 2, conv_cfg=conv_cfg, **common
        )
        self.add_identity = add_identity and in_channels == out_channels


class ChannelAttention(BaseModule):
    """Weights channels by what a 1x1 convolution makes of their means (Hu et al., "SENet", 2017).

    State-dict keys: ``fc.*``.

    Args:
        channels: Of input and output.
        init_cfg: See `BaseModule`.
    """

    def __init__(self, channels: int, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.fc = nn.Conv2d(channels, channels, 1)
        self.act = nn.Hardsigmoid(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) in, the same shape out."""
        return x * self.act(self.fc(F.adaptive_avg_pool2d(x, 1)))


class CSPLayer(BaseModule):
    """Half of the channels go through blocks, the other half past them (Wang et al., "CSPNet", 2019).

    State-dict keys: ``main_conv.*``, ``short_conv.*``, ``final_conv.*``, ``blocks.i.*`` and, with
    `channel_attention`, ``attention.fc.*``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        expand_ratio: Channels of each half, as a part of `out_channels`.
        num_blocks: How many blocks.
        add_identity: Whether blocks have a shortcut.
        use_depthwise: Whether blocks are depthwise separable.
        use_cspnext_block: The blocks are `CSPNeXtBlock`, in place of `DarknetBottleneck`.
        channel_attention: Weight the channels before the last convolution.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: float = 0.5,
        num_blocks: int = 1,
        add_identity: bool = True,
        use_depthwise: bool = False,
        use_cspnext_block: bool = False,
        channel_attention: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        block: type[nn.Module] = CSPNeXtBlock if use_cspnext_block else DarknetBottleneck
        half = int(out_channels * expand_ratio)
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.main_conv = ConvModule(in_channels, half, 1, **common)
        self.short_conv = ConvModule(in_channels, half, 1, **common)
        self.final_conv = ConvModule(2 * half, out_channels, 1, **common)
        self.blocks = nn.Sequential(
            *(block(half, half, 1.0, add_identity, use_depthwise, **common) for _ in range(num_blocks))
        )
        self.attention = ChannelAttention(2 * half) if channel_attention else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        both = torch.cat((self.blocks(self.main_conv(x)), self.short_conv(x)), dim=1)
        return self.final_conv(both if self.attention is None else self.attention(both))
