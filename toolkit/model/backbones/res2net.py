"""ResNet whose bottlenecks look at several scales."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.model.backbones.resnet import ResNet
from toolkit.model.backbones.resnet_blocks import Bottleneck
from toolkit.model.cnn import build_norm_layer
from toolkit.registry import MODELS
from toolkit.utils import BuildError


class Bottle2neck(Bottleneck):
    """A bottleneck whose middle is a chain of small convolutions, each seeing more than the one before it
    (Gao et al., "Res2Net", 2019).

    Args:
        inplanes: Channels of the input.
        planes: Channels of the block; it gives ``planes * expansion``.
        scales: Into how many parts the middle is split, at least 2.
        base_width: Channels of a part in a block of `base_channels`.
        base_channels: The `planes` that `base_width` is for.
        stage_type: 'stage' for the first block of a stage, whose parts are not chained; 'normal'.
        **kwargs: Those of `ResidualBlock`.

    Raises:
        BuildError: There are less than two scales.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        scales: int = 4,
        base_width: int = 26,
        base_channels: int = 64,
        stage_type: str = "normal",
        **kwargs: Any,
    ) -> None:
        if scales < 2:
            raise BuildError(f"scales of Res2Net must be at least 2 (1 is a ResNet), got {scales}")
        self.scales, self.stage_type = scales, stage_type
        self.part = math.floor(planes * (base_width / base_channels))
        super().__init__(inplanes, planes, **kwargs)

    def _width(self) -> int:
        return self.part * self.scales

    def _add_middle(self) -> None:
        """The middle stands behind the shortcut in state dicts."""

    def _extend(self) -> None:
        super()._extend()
        pools = self.stage_type == "stage" and self.conv2_stride != 1
        self.pool: nn.Module = (
            nn.AvgPool2d(3, stride=self.conv2_stride, padding=1) if pools else nn.Identity()
        )
        self.convs = nn.ModuleList(self._spatial_conv(self.part) for _ in range(self.scales - 1))
        self.bns = nn.ModuleList(
            build_norm_layer(self.norm_cfg, self.part)[1] for _ in range(self.scales - 1)
        )

    def _middle(self, x: Tensor) -> Tensor:
        *parts, last = x.split(self.part, dim=1)
        outs: list[Tensor] = []
        for part, conv, norm in zip(parts, self.convs, self.bns, strict=True):
            chained = part if self.stage_type == "stage" or not outs else outs[-1] + part
            outs.append(self.relu(norm(conv(chained.contiguous()))))
        return torch.cat((*outs, self.pool(last)), dim=1)


@MODELS.register_module()
class Res2Net(ResNet):
    """ResNet of multi-scale bottlenecks, with ResNet-D's stem and shortcuts (Gao et al., "Res2Net: A New
    Multi-scale Backbone Architecture", 2019).

    Args:
        scales: Parts of each bottleneck's middle.
        base_width: Channels of a part in the first stage.
        style: 'pytorch', the only one.
        deep_stem: True, the only choice, as for `avg_down`.
        avg_down: See `ResNet`.
        **kwargs: Those of `ResNet`; `depth` is 50, 101 or 152.
    """

    arch_settings = {
        50: (Bottle2neck, (3, 4, 6, 3)),
        101: (Bottle2neck, (3, 4, 23, 3)),
        152: (Bottle2neck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        scales: int = 4,
        base_width: int = 26,
        style: str = "pytorch",
        deep_stem: bool = True,
        avg_down: bool = True,
        **kwargs: Any,
    ) -> None:
        if style != "pytorch" or not deep_stem or not avg_down:
            raise BuildError(
                "Res2Net has style='pytorch', deep_stem=True and avg_down=True; "
                f"got {style!r}, {deep_stem} and {avg_down}"
            )
        self.scales, self.base_width = scales, base_width
        super().__init__(style=style, deep_stem=deep_stem, avg_down=avg_down, **kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build a stage; see `ResNet.make_res_layer`."""
        return super().make_res_layer(
            scales=self.scales,
            base_width=self.base_width,
            base_channels=self.base_channels,
            changing_kwargs={"stage_type": "stage"},
            **kwargs,
        )
