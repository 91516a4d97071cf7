"""ResNets whose bottlenecks have groups: ResNeXt and RegNet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from toolkit.model.backbones.resnet import ResNet
from toolkit.model.backbones.resnet_blocks import Bottleneck, ResidualBlock
from toolkit.model.cnn import build_conv_layer, build_norm_layer
from toolkit.registry import MODELS
from toolkit.utils import BuildError, did_you_mean


class GroupedBottleneck(Bottleneck):
    """A bottleneck whose 3x3 convolution has groups (Xie et al., "Aggregated Residual Transformations",
    2016).

    Args:
        inplanes: Channels of the input.
        planes: Channels of the block; it gives ``planes * expansion``.
        groups: Groups of the 3x3 convolution; 1 makes it a plain bottleneck.
        base_width: Channels of a group in a block of `base_channels`.
        base_channels: The `planes` that `base_width` is for.
        **kwargs: Those of `ResidualBlock`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        groups: int = 1,
        base_width: int = 4,
        base_channels: int = 64,
        **kwargs: Any,
    ) -> None:
        # The base class builds its layers at once, and asks for the width then.
        self.groups, self.base_width, self.base_channels = groups, base_width, base_channels
        super().__init__(inplanes, planes, **kwargs)

    def _width(self) -> int:
        if self.groups == 1:
            return self.planes
        return math.floor(self.planes * (self.base_width / self.base_channels)) * self.groups


@MODELS.register_module()
class ResNeXt(ResNet):
    """ResNet with grouped bottlenecks (Xie et al., "Aggregated Residual Transformations for Deep Neural
    Networks", 2016).

    Args:
        groups: Groups of the 3x3 convolutions.
        base_width: Channels of a group in the first stage.
        **kwargs: Those of `ResNet`; `depth` is 50, 101 or 152.
    """

    arch_settings = {
        50: (GroupedBottleneck, (3, 4, 6, 3)),
        101: (GroupedBottleneck, (3, 4, 23, 3)),
        152: (GroupedBottleneck, (3, 8, 36, 3)),
    }

    def __init__(self, groups: int = 1, base_width: int = 4, **kwargs: Any) -> None:
        self.groups, self.base_width = groups, base_width
        super().__init__(**kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build a stage; see `ResNet.make_res_layer`."""
        return super().make_res_layer(
            groups=self.groups, base_width=self.base_width, base_channels=self.base_channels, **kwargs
        )


class RegNetBottleneck(GroupedBottleneck):
    """A grouped bottleneck that gives `planes` channels."""

    expansion = 1


@MODELS.register_module()
class RegNet(ResNet):
    """Networks of a searched space: widths grow linearly with depth, in steps (Radosavovic et al., "Designing
    Network Design Spaces", 2020).

    Args:
        arch: A name such as 'regnetx_3.2gf', or a dict of ``w0`` (initial width), ``wa`` (slope), ``wm``
            (ratio of the steps), ``depth``, ``group_w`` (width of a group) and ``bot_mul`` (ratio of the
            middle's width).
        in_channels: Channels of the images.
        stem_channels: Channels of the stem.
        base_channels: Kept for configs; the widths come from `arch`.
        strides: Of each stage.
        **kwargs: Those of `ResNet`, without `depth`, `num_stages` and `deep_stem`.

    Raises:
        BuildError: There is no such `arch`, or an argument doesn't fit the others.
    """

    presets: dict[str, dict[str, float]] = {
        name: dict(zip(("w0", "wa", "wm", "group_w", "depth", "bot_mul"), values, strict=True))
        for name, values in {
            "regnetx_400mf": (24, 24.48, 2.54, 16, 22, 1.0),
            "regnetx_800mf": (56, 35.73, 2.28, 16, 16, 1.0),
            "regnetx_1.6gf": (80, 34.01, 2.25, 24, 18, 1.0),
            "regnetx_3.2gf": (88, 26.31, 2.25, 48, 25, 1.0),
            "regnetx_4.0gf": (96, 38.65, 2.43, 40, 23, 1.0),
            "regnetx_6.4gf": (184, 60.83, 2.07, 56, 17, 1.0),
            "regnetx_8.0gf": (80, 49.56, 2.88, 120, 23, 1.0),
            "regnetx_12gf": (168, 73.36, 2.37, 112, 19, 1.0),
        }.items()
    }

    def __init__(
        self,
        arch: str | Mapping[str, float],
        in_channels: int = 3,
        stem_channels: int = 32,
        base_channels: int = 32,
        strides: Sequence[int] = (2, 2, 2, 2),
        **kwargs: Any,
    ) -> None:
        if isinstance(arch, str):
            if arch not in self.presets:
                raise BuildError(f"RegNet has no arch {arch!r}{did_you_mean(arch, self.presets)}")
            arch = self.presets[arch]
        stages, self._blocks = _stages(arch)
        self.bottleneck_ratio = [arch["bot_mul"]] * len(stages)
        self.stage_widths, self.group_widths = _whole_groups(stages, int(arch["group_w"]), arch["bot_mul"])
        super().__init__(
            depth=sum(self._blocks),
            in_channels=in_channels,
            stem_channels=stem_channels,
            base_channels=base_channels,
            num_stages=len(stages),
            strides=strides,
            **kwargs,
        )

    def _architecture(self, depth: int) -> tuple[type[ResidualBlock], tuple[int, ...]]:
        return RegNetBottleneck, self._blocks

    def _stage_kwargs(self, index: int) -> dict[str, Any]:
        width, group = self.stage_widths[index], self.group_widths[index]
        return {
            "planes": width,
            "groups": round(width * self.bottleneck_ratio[index]) // group,
            "base_width": group,
            "base_channels": width,
        }

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        self.conv1 = build_conv_layer(
            self.conv_cfg, in_channels, stem_channels, 3, stride=2, padding=1, bias=False
        )
        self.norm1_name, norm1 = build_norm_layer(self.norm_cfg, stem_channels, postfix=1)
        self.add_module(self.norm1_name, norm1)
        self.relu = nn.ReLU(inplace=True)

    def _forward_stem(self, x: Tensor) -> Tensor:
        return self.relu(self.norm1(self.conv1(x)))


def _stages(arch: Mapping[str, float], divisor: int = 8) -> tuple[list[int], tuple[int, ...]]:
    """Width and number of blocks of each stage, from the line of widths."""
    first, slope, ratio = arch["w0"], arch["wa"], arch["wm"]
    if slope < 0 or first <= 0 or ratio <= 1 or first % divisor:
        raise BuildError(
            f"arch of RegNet needs wa >= 0, wm > 1 and w0 a multiple of {divisor}; got {dict(arch)}"
        )
    line = first + slope * np.arange(int(arch["depth"]))
    steps = np.round(np.log(line / first) / np.log(ratio))
    widths = np.round(first * np.power(ratio, steps) / divisor) * divisor
    values, counts = np.unique(widths.astype(int), return_counts=True)
    return values.tolist(), tuple(counts.tolist())


def _whole_groups(widths: Sequence[int], group: int, ratio: float) -> tuple[list[int], list[int]]:
    """Widths of which groups of at most `group` channels make up the middle, and those groups."""
    middles = [int(width * ratio) for width in widths]
    groups = [min(group, middle) for middle in middles]
    fitting = [round(middle / size) * size for middle, size in zip(middles, groups, strict=True)]
    return [int(middle / ratio) for middle in fitting], groups
