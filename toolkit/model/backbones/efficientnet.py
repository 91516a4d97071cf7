"""EfficientNet, its ordinary and its edge variants."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from torch import Tensor, nn

from toolkit.model.backbones.common import (
    CONV_NORM_INIT,
    PartlyFrozen,
    drop_path_rates,
    freeze,
    maybe_recomputed,
)
from toolkit.model.backbones.inverted_residual import InvertedResidual
from toolkit.model.backbones.mobilenet_v2 import make_divisible
from toolkit.model.base_module import BaseModule, InitCfg, Sequential
from toolkit.model.cnn import ConvModule, SELayer
from toolkit.model.transformer import DropPath
from toolkit.registry import MODELS
from toolkit.utils import BuildError, did_you_mean

Cfg = Mapping[str, Any]


class _Block(NamedTuple):
    """A block of a stage.

    Attributes:
        kernel: Kernel size.
        channels: Of the output.
        se_ratio: By how much squeeze-and-excitation narrows, on top of the expansion; 0 for none.
        stride: Of the block.
        expansion: By how much the middle is wider than the input.
        edge: Whether the first convolution is 3x3 and the depthwise one is left out.
    """

    kernel: int
    channels: int
    se_ratio: int
    stride: int
    expansion: int
    edge: bool = False


Stages = tuple[tuple[tuple[_Block, int], ...], ...]

# Blocks of each stage between the stem and the last convolution, with how often they are repeated.
_ORDINARY: Stages = (
    ((_Block(3, 16, 4, 1, 1), 1),),
    ((_Block(3, 24, 4, 2, 6), 1), (_Block(3, 24, 4, 1, 6), 1)),
    ((_Block(5, 40, 4, 2, 6), 1), (_Block(5, 40, 4, 1, 6), 1)),
    ((_Block(3, 80, 4, 2, 6), 1), (_Block(3, 80, 4, 1, 6), 2), (_Block(5, 112, 4, 1, 6), 3)),
    ((_Block(5, 192, 4, 2, 6), 1), (_Block(5, 192, 4, 1, 6), 3), (_Block(3, 320, 4, 1, 6), 1)),
)
_EDGE: Stages = (
    ((_Block(3, 24, 0, 1, 3, True), 1),),
    ((_Block(3, 32, 0, 2, 8, True), 1), (_Block(3, 32, 0, 1, 8, True), 1)),
    ((_Block(3, 48, 0, 2, 8, True), 1), (_Block(3, 48, 0, 1, 8, True), 3)),
    ((_Block(5, 96, 0, 2, 8), 1), (_Block(5, 96, 0, 1, 8), 4), (_Block(5, 144, 0, 1, 8), 4)),
    ((_Block(5, 192, 0, 2, 8), 1), (_Block(5, 192, 0, 1, 8), 1)),
)
_STEM_CHANNELS, _LAST_CHANNELS = 32, 1280


class EdgeResidual(BaseModule):
    """3x3 convolution to more channels, then a 1x1 one that strides (Gupta and Akin, "Accelerator-aware
    Neural Network Design", 2020).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        mid_channels: Channels in the middle.
        kernel_size: Of the first convolution.
        stride: Of the second one.
        se_cfg: Arguments of an `SELayer` between them; None for none.
        with_residual: Whether the input is added, where it fits.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activation.
        drop_path_rate: Probability of the residual to be dropped.
        with_cp: Recompute the block in the backward pass to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        se_cfg: Cfg | None = None,
        with_residual: bool = True,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        act_cfg: Cfg = {"type": "ReLU"},  # noqa: B006 - read only
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.with_cp = with_cp
        self.with_residual = stride == 1 and in_channels == out_channels and with_residual
        self.drop_path: nn.Module = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()
        self.conv1 = ConvModule(
            in_channels, mid_channels, kernel_size, padding=kernel_size // 2, act_cfg=act_cfg, **common
        )
        self.se: nn.Module = nn.Identity() if se_cfg is None else SELayer(**se_cfg)
        self.conv2 = ConvModule(mid_channels, out_channels, 1, stride=stride, act_cfg=None, **common)

    def _whole(self, x: Tensor) -> Tensor:
        out = self.conv2(self.se(self.conv1(x)))
        return x + self.drop_path(out) if self.with_residual else out

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H/stride, W/stride)."""
        return maybe_recomputed(self._whole, x, self.with_cp)


@MODELS.register_module()
class EfficientNet(PartlyFrozen):
    """Networks of one plan, scaled in width and depth (Tan and Le, "EfficientNet", 2019).

    State-dict keys: ``layers.i.*``, 0 being the stem and 6 the last convolution.

    Args:
        arch: 'b0' to 'b8', or the edge variants 'es', 'em' and 'el'.
        drop_path_rate: Probability of the last residual to be dropped; it rises from 0 evenly.
        out_indices: Of the layers whose outputs are given, from 0 to 6. Those beyond the last are not built.
        frozen_stages: So many layers don't train.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        norm_eval: Batch norms keep their running statistics while training.
        with_cp: Recompute the blocks in the backward pass to save memory.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: There is no such `arch`, or an index is out of range.
    """

    # Factors of width and depth.
    arch_settings = {
        "b0": (1.0, 1.0),
        "b1": (1.0, 1.1),
        "b2": (1.1, 1.2),
        "b3": (1.2, 1.4),
        "b4": (1.4, 1.8),
        "b5": (1.6, 2.2),
        "b6": (1.8, 2.6),
        "b7": (2.0, 3.1),
        "b8": (2.2, 3.6),
        "es": (1.0, 1.0),
        "em": (1.0, 1.1),
        "el": (1.2, 1.4),
    }

    def __init__(
        self,
        arch: str = "b0",
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (6,),
        frozen_stages: int = 0,
        conv_cfg: Cfg | None = {"type": "Conv2dAdaptivePadding"},  # noqa: B006 - read only
        norm_cfg: Cfg = {"type": "BN", "eps": 1e-3},  # noqa: B006 - read only
        act_cfg: Cfg = {"type": "Swish"},  # noqa: B006 - read only
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: InitCfg = CONV_NORM_INIT,
    ) -> None:
        super().__init__(init_cfg)
        if arch not in self.arch_settings:
            raise BuildError(f"EfficientNet has no arch {arch!r}{did_you_mean(arch, self.arch_settings)}")
        if not set(out_indices) <= set(range(7)) or frozen_stages not in range(8):
            raise BuildError(
                f"EfficientNet has layers 0 to 6; got out_indices {tuple(out_indices)} and "
                f"frozen_stages {frozen_stages}"
            )
        self.out_indices, self.frozen_stages, self.norm_eval = out_indices, frozen_stages, norm_eval
        self._common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self._with_cp = with_cp
        width, depth = self.arch_settings[arch]
        stages = _scaled(_EDGE if arch.startswith("e") else _ORDINARY, width, depth)
        channels = make_divisible(_STEM_CHANNELS * width, 8)
        self.layers = nn.ModuleList([ConvModule(3, channels, 3, stride=2, padding=1, **self._common)])
        rates = iter(drop_path_rates(drop_path_rate, sum(map(len, stages))))
        for stage in stages[: max(out_indices)]:
            blocks = []
            for index, block in enumerate(stage):
                blocks.append(self._block(block, channels, index == 0, next(rates)))
                channels = block.channels
            self.layers.append(Sequential(*blocks))
        if max(out_indices) > len(stages):
            last = make_divisible(_LAST_CHANNELS * width, 8)
            self.layers.append(ConvModule(channels, last, 1, **self._common))
        self._freeze_stages()

    def _block(self, block: _Block, into: int, first: bool, rate: float) -> nn.Module:
        expansion, residual = block.expansion, True
        if block.edge and not first and expansion == 3:
            expansion, residual = 4, False
        middle = int(into * expansion)
        se_cfg = None
        if block.se_ratio > 0:
            acts = (self._common["act_cfg"], {"type": "Sigmoid"})
            se_cfg = {"channels": middle, "ratio": expansion * block.se_ratio, "act_cfg": acts}
        common: dict[str, Any] = {
            "kernel_size": block.kernel,
            "stride": block.stride,
            "se_cfg": se_cfg,
            "drop_path_rate": rate,
            "with_cp": self._with_cp,
            **self._common,
        }
        if block.edge:
            return EdgeResidual(into, block.channels, middle, with_residual=residual, **common)
        return InvertedResidual(into, block.channels, middle, with_expand_conv=middle != into, **common)

    def _freeze_stages(self) -> None:
        freeze(self.layers[: self.frozen_stages])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the maps of `out_indices`."""
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


def _scaled(plan: Stages, width: float, depth: float) -> list[list[_Block]]:
    """The blocks of each stage, wider and deeper: each run of equal channels is repeated as a whole."""
    stages: list[list[_Block]] = []
    for stage in plan:
        blocks = [block for block, count in stage for _ in range(count)]
        blocks = [block._replace(channels=make_divisible(block.channels * width, 8)) for block in blocks]
        stages.append([])
        for _, group in groupby(blocks, key=lambda block: block.channels):
            run = list(group)
            count = math.ceil(depth * len(run))
            stages[-1] += [*run, *[run[-1]] * (count - len(run))][:count]
    return stages
