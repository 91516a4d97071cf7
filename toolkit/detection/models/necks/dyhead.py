"""Dynamic head: attention over levels, places and channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import DeformConv2d

from toolkit.detection.models.necks.levels import no_init_cfg
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, normal_init
from toolkit.model.cnn import DyReLU, build_activation_layer, build_norm_layer

Cfg = dict[str, Any]
_AREA = 9
_GN = {"type": "GN", "num_groups": 16, "requires_grad": True}
_HSIGMOID = {"type": "HSigmoid", "bias": 3.0, "divisor": 6.0}


class DyDCNv2(nn.Module):
    """Modulated 3x3 deformable convolution at given offsets, with a norm.

    State-dict keys: ``conv.weight``, ``norm.*``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Of the convolution.
        norm_cfg: Config of the norm; None for none, and a bias in its place.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, norm_cfg: Cfg | None = _GN
    ) -> None:
        super().__init__()
        self.conv = DeformConv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=norm_cfg is None
        )
        self.norm: nn.Module = (
            nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, out_channels)[1]
        )

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Convolve at the offsets.

        Args:
            x: (N, in_channels, H, W).
            offset: (N, 18, h, w) of the size of the output, or larger.
            mask: (N, 9, h, w).

        Returns:
            (N, out_channels, H', W').
        """
        size = [(length - 1) // self.conv.stride[0] + 1 for length in x.shape[2:]]
        offset, mask = _reread(offset, size), _reread(mask, size)
        return self.norm(self.conv(x.contiguous(), offset, mask))


def _reread(x: Tensor, size: Sequence[int]) -> Tensor:
    """The first numbers of a larger map as one of another size: (N, C, h, w) to (N, C, *size).

    A coarser level is sampled at the offsets of a finer one. All implementations so far read them as if
    they were of the coarser size, and published weights rest on it.
    """
    if list(x.shape[2:]) == list(size):
        return x.contiguous()
    count = x.shape[1] * size[0] * size[1]
    return x.flatten(1)[:, :count].reshape(x.shape[0], x.shape[1], *size)


class DyHeadBlock(nn.Module):
    """One round of the three attentions.

    State-dict keys: ``spatial_conv_high``, ``spatial_conv_mid``, ``spatial_conv_low``,
    ``spatial_conv_offset``, ``scale_attn_module.1``, ``task_attn_module``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        zero_init_offset: Whether offsets start at zero.
        act_cfg: Activation of the attention over levels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        zero_init_offset: bool = True,
        act_cfg: Cfg = _HSIGMOID,
    ) -> None:
        super().__init__()
        self.spatial_conv_high = DyDCNv2(in_channels, out_channels)
        self.spatial_conv_mid = DyDCNv2(in_channels, out_channels)
        self.spatial_conv_low = DyDCNv2(in_channels, out_channels, stride=2)
        self.spatial_conv_offset = nn.Conv2d(in_channels, 3 * _AREA, 3, padding=1)
        self.scale_attn_module = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(out_channels, 1, 1),
            nn.ReLU(inplace=True),
            build_activation_layer(act_cfg),
        )
        self.task_attn_module = DyReLU(out_channels)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                normal_init(part, 0, 0.01)
        if zero_init_offset:
            for param in self.spatial_conv_offset.parameters():
                nn.init.zeros_(param)

    def _weighted(self, x: Tensor) -> Tensor:
        return x * self.scale_attn_module(x)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map i is (N, in_channels, H_i, W_i) in, (N, out_channels, H_i, W_i) out, finest first."""
        outs = []
        for level, x in enumerate(maps):
            offset, mask = self.spatial_conv_offset(x).split((2 * _AREA, _AREA), dim=1)
            mask = mask.sigmoid()
            total, count = self._weighted(self.spatial_conv_mid(x, offset, mask)), 1
            if level > 0:
                total = total + self._weighted(self.spatial_conv_low(maps[level - 1], offset, mask))
                count += 1
            if level < len(maps) - 1:
                coarse = self.spatial_conv_high(maps[level + 1], offset, mask)
                fine = F.interpolate(coarse, size=x.shape[2:], mode="bilinear", align_corners=True)
                total = total + self._weighted(fine)
                count += 1
            outs.append(self.task_attn_module(total / count))
        return outs


@MODELS.register_module()
class DyHead(BaseModule):
    """Attention over levels, places and channels, several times (Dai et al., "Dynamic Head", 2021).

    State-dict keys: ``dyhead_blocks.i.*``.

    Args:
        in_channels: Channels of the maps.
        out_channels: Channels of the outputs.
        num_blocks: How many rounds.
        zero_init_offset: Whether the offsets of deformable convolutions start at zero.
        init_cfg: None.

    Raises:
        BuildError: There is an `init_cfg`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        num_blocks: int = 6,
        zero_init_offset: bool = True,
        init_cfg: Any = None,
    ) -> None:
        no_init_cfg("DyHead", init_cfg)
        super().__init__()
        self.dyhead_blocks = nn.Sequential(
            *(
                DyHeadBlock(out_channels if i else in_channels, out_channels, zero_init_offset)
                for i in range(num_blocks)
            )
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map i is (N, in_channels, H_i, W_i) in, (N, out_channels, H_i, W_i) out, finest first."""
        return tuple(self.dyhead_blocks(inputs))
