"""ResNet with split attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model.backbones.resnet import ResNetV1d
from toolkit.model.backbones.resnet_blocks import Cfg
from toolkit.model.backbones.resnext import GroupedBottleneck
from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.model.cnn import build_conv_layer, build_norm_layer
from toolkit.registry import MODELS

_LEAST_CHANNELS = 32


class SplitAttentionConv2d(BaseModule):
    """Several convolutions of one map, mixed by channel weights that come from their sum (Zhang et al.,
    "ResNeSt", 2020).

    State-dict keys: ``conv``, the norm ``bn0``, ``fc1``, ``bn1``, ``fc2``.

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output.
        kernel_size: Of the convolutions, like the next three.
        stride: See `torch.nn.Conv2d`.
        padding: See `torch.nn.Conv2d`.
        dilation: See `torch.nn.Conv2d`.
        groups: Groups of each convolution, and of the attention.
        radix: How many convolutions; 1 makes it a squeeze-and-excitation.
        reduction_factor: The weights are computed in ``in_channels * radix / reduction_factor`` channels, at
            least 32.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        radix: int = 2,
        reduction_factor: int = 4,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        middle = max(in_channels * radix // reduction_factor, _LEAST_CHANNELS)
        self.radix, self.groups, self.channels = radix, groups, channels
        self.conv = build_conv_layer(
            conv_cfg,
            in_channels,
            channels * radix,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups * radix,
            bias=False,
        )
        self.norm0_name, norm0 = build_norm_layer(norm_cfg, channels * radix, postfix=0)
        self.add_module(self.norm0_name, norm0)
        self.relu = nn.ReLU(inplace=True)
        self.fc1 = nn.Conv2d(channels, middle, 1, groups=groups)
        self.norm1_name, norm1 = build_norm_layer(norm_cfg, middle, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.fc2 = nn.Conv2d(middle, channels * radix, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, channels, H/stride, W/stride)."""
        x = self.relu(getattr(self, self.norm0_name)(self.conv(x)))
        splits = x.unflatten(1, (self.radix, self.channels))
        summary = F.adaptive_avg_pool2d(splits.sum(dim=1), 1)
        summary = self.relu(getattr(self, self.norm1_name)(self.fc1(summary)))
        weights = self.fc2(summary)  # (N, groups·radix·channels/groups, 1, 1)
        if self.radix == 1:
            return x * weights.sigmoid()
        weights = weights.view(x.shape[0], self.groups, self.radix, -1).softmax(dim=2)
        weights = weights.transpose(1, 2).reshape(x.shape[0], self.radix, self.channels, 1, 1)
        return torch.sum(weights * splits, dim=1)


class SplitAttentionBottleneck(GroupedBottleneck):
    """A bottleneck with split attention in the middle (Zhang et al. 2020).

    Args:
        inplanes: Channels of the input.
        planes: Channels of the block; it gives ``planes * expansion``.
        radix: See `SplitAttentionConv2d`.
        reduction_factor: See `SplitAttentionConv2d`.
        avg_down_stride: Stride by average pooling behind the middle, and not in it.
        **kwargs: Those of `GroupedBottleneck`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        **kwargs: Any,
    ) -> None:
        self.radix, self.reduction_factor, self.avg_down_stride = radix, reduction_factor, avg_down_stride
        super().__init__(inplanes, planes, **kwargs)

    def _add_middle(self) -> None:
        self.avg_down_stride = self.avg_down_stride and self.conv2_stride > 1
        self.conv2 = SplitAttentionConv2d(
            self.width,
            self.width,
            3,
            stride=1 if self.avg_down_stride else self.conv2_stride,
            padding=self.dilation,
            dilation=self.dilation,
            groups=self.groups,
            radix=self.radix,
            reduction_factor=self.reduction_factor,
            conv_cfg=self._spatial_cfg(),
            norm_cfg=self.norm_cfg,
        )
        if self.avg_down_stride:
            self.avd_layer = nn.AvgPool2d(3, self.conv2_stride, padding=1)

    def _middle(self, x: Tensor) -> Tensor:
        x = self.conv2(x)
        return self.avd_layer(x) if self.avg_down_stride else x


@MODELS.register_module()
class ResNeSt(ResNetV1d):
    """ResNet-D with split attention (Zhang et al., "ResNeSt: Split-Attention Networks", 2020).

    Args:
        groups: Groups of the 3x3 convolutions.
        base_width: Channels of a group in the first stage.
        radix: See `SplitAttentionConv2d`.
        reduction_factor: See `SplitAttentionConv2d`.
        avg_down_stride: Stride by average pooling behind the 3x3 convolution, and not in it.
        **kwargs: Those of `ResNet`; `depth` is 50, 101, 152 or 200.
    """

    arch_settings = {
        50: (SplitAttentionBottleneck, (3, 4, 6, 3)),
        101: (SplitAttentionBottleneck, (3, 4, 23, 3)),
        152: (SplitAttentionBottleneck, (3, 8, 36, 3)),
        200: (SplitAttentionBottleneck, (3, 24, 36, 3)),
    }

    def __init__(
        self,
        groups: int = 1,
        base_width: int = 4,
        radix: int = 2,
        reduction_factor: int = 4,
        avg_down_stride: bool = True,
        **kwargs: Any,
    ) -> None:
        self.groups, self.base_width = groups, base_width
        self.radix, self.reduction_factor, self.avg_down_stride = radix, reduction_factor, avg_down_stride
        super().__init__(**kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build a stage; see `ResNet.make_res_layer`."""
        return super().make_res_layer(
            groups=self.groups,
            base_width=self.base_width,
            base_channels=self.base_channels,
            radix=self.radix,
            reduction_factor=self.reduction_factor,
            avg_down_stride=self.avg_down_stride,
            **kwargs,
        )
