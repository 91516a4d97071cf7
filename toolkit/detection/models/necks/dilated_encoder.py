"""The neck of YOLOF: one level, whose field of view dilated convolutions widen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import caffe2_xavier_init, constant_init, normal_init
from toolkit.model.cnn import ConvModule, is_norm

_BN = {"type": "BN", "requires_grad": True}


class DilatedBottleneck(nn.Module):
    """1x1, dilated 3x3 and 1x1 convolutions with a shortcut.

    Args:
        in_channels: Channels of the input and the output.
        mid_channels: Channels in the middle.
        dilation: Of the 3x3 convolution.
        norm_cfg: Config of the norms.
    """

    def __init__(
        self, in_channels: int, mid_channels: int, dilation: int, norm_cfg: dict[str, Any] = _BN
    ) -> None:
        super().__init__()
        self.conv1 = ConvModule(in_channels, mid_channels, 1, norm_cfg=norm_cfg)
        self.conv2 = ConvModule(
            mid_channels, mid_channels, 3, padding=dilation, dilation=dilation, norm_cfg=norm_cfg
        )
        self.conv3 = ConvModule(mid_channels, in_channels, 1, norm_cfg=norm_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in, the same shape out."""
        return x + self.conv3(self.conv2(self.conv1(x)))


@MODELS.register_module()
class DilatedEncoder(nn.Module):
    """A projection and dilated bottlenecks (Chen et al., "You Only Look One-level Feature", 2021).

    State-dict keys: ``lateral_conv``, ``lateral_norm``, ``fpn_conv``, ``fpn_norm``,
    ``dilated_encoder_blocks.i.*``.

    Args:
        in_channels: Channels of the last map.
        out_channels: Channels of the output.
        block_mid_channels: Channels in the middle of the bottlenecks.
        num_residual_blocks: How many bottlenecks.
        block_dilations: Their dilations.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        block_mid_channels: int,
        num_residual_blocks: int,
        block_dilations: Sequence[int],
    ) -> None:
        super().__init__()
        self.lateral_conv = nn.Conv2d(in_channels, out_channels, 1)
        self.lateral_norm = nn.BatchNorm2d(out_channels)
        self.fpn_conv = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.fpn_norm = nn.BatchNorm2d(out_channels)
        self.dilated_encoder_blocks = nn.Sequential(
            *(
                DilatedBottleneck(out_channels, block_mid_channels, block_dilations[i])
                for i in range(num_residual_blocks)
            )
        )

    def init_weights(self) -> None:
        """Xavier, as Caffe2 does it, for the projection; small normal weights for the bottlenecks."""
        for conv in (self.lateral_conv, self.fpn_conv):
            caffe2_xavier_init(conv)
        for part in self.dilated_encoder_blocks.modules():
            if isinstance(part, nn.Conv2d):
                normal_init(part, mean=0, std=0.01)
        for part in self.modules():
            if is_norm(part):
                constant_init(part, 1)

    def forward(self, feature: Sequence[Tensor]) -> tuple[Tensor]:
        """Maps of the backbone, of which the last, (N, in_channels, H, W), is used, to one of (N,
        out_channels, H, W)."""
        out = self.lateral_norm(self.lateral_conv(feature[-1]))
        out = self.fpn_norm(self.fpn_conv(out))
        return (self.dilated_encoder_blocks(out),)
