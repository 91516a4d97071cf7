"""Stacked hourglasses, the backbone of CornerNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.necks.levels import no_init_cfg
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.backbones import BasicBlock, ResLayer
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_BN = {"type": "BN", "requires_grad": True}


class HourglassModule(BaseModule):
    """Down and up again, with a shortcut at each size.

    State-dict keys: ``up1``, ``low1``, ``low2`` (the hourglass within, or blocks), ``low3``.

    Args:
        depth: How often the map is halved.
        stage_channels: Channels at each size, this one's first.
        stage_blocks: Blocks at each size.
        norm_cfg: Config of the norms.
        upsample_cfg: Arguments of `torch.nn.functional.interpolate`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        depth: int,
        stage_channels: Sequence[int],
        stage_blocks: Sequence[int],
        norm_cfg: Cfg = _BN,
        upsample_cfg: Cfg = {"mode": "nearest"},  # noqa: B006 - read only
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.upsample_cfg = dict(upsample_cfg)
        here, below = stage_channels[0], stage_channels[1]
        blocks = stage_blocks[0]
        self.up1 = ResLayer(BasicBlock, here, here, blocks, norm_cfg=norm_cfg)
        self.low1 = ResLayer(BasicBlock, here, below, blocks, stride=2, norm_cfg=norm_cfg)
        self.low2: nn.Module = (
            HourglassModule(depth - 1, stage_channels[1:], stage_blocks[1:], norm_cfg, upsample_cfg)
            if depth > 1
            else ResLayer(BasicBlock, below, below, stage_blocks[1], norm_cfg=norm_cfg)
        )
        self.low3 = ResLayer(BasicBlock, below, here, blocks, norm_cfg=norm_cfg, downsample_first=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, stage_channels[0], H, W) in, the same shape out."""
        near, far = self.up1(x), self.low3(self.low2(self.low1(x)))
        size = {} if "scale_factor" in self.upsample_cfg else {"size": near.shape[2:]}
        return near + F.interpolate(far, **size, **self.upsample_cfg)


@MODELS.register_module()
class HourglassNet(BaseModule):
    """Several hourglasses, each on top of the one before (Newell et al., "Stacked Hourglass Networks", 2016).

    Args:
        downsample_times: How often each halves its map.
        num_stacks: How many hourglasses.
        stage_channels: Channels at each size.
        stage_blocks: Blocks at each size.
        feat_channel: Channels of the outputs.
        norm_cfg: Config of the norms.
        init_cfg: None.

    Raises:
        BuildError: The lists are not long enough, or there is an `init_cfg`.
    """

    def __init__(
        self,
        downsample_times: int = 5,
        num_stacks: int = 2,
        stage_channels: Sequence[int] = (256, 256, 384, 384, 384, 512),
        stage_blocks: Sequence[int] = (2, 2, 2, 2, 2, 4),
        feat_channel: int = 256,
        norm_cfg: Cfg = _BN,
        init_cfg: Any = None,
    ) -> None:
        no_init_cfg("HourglassNet", init_cfg)
        super().__init__()
        if not downsample_times < len(stage_channels) == len(stage_blocks) or num_stacks < 1:
            raise BuildError(
                f"HourglassNet that halves {downsample_times} times needs more stage_channels and as many "
                f"stage_blocks, and a stack at least; got {list(stage_channels)}, {list(stage_blocks)} and "
                f"num_stacks={num_stacks}"
            )
        self.num_stacks = num_stacks
        width = stage_channels[0]
        self.stem = nn.Sequential(
            ConvModule(3, width // 2, 7, padding=3, stride=2, norm_cfg=norm_cfg),
            ResLayer(BasicBlock, width // 2, width, 1, stride=2, norm_cfg=norm_cfg),
        )
        self.hourglass_modules = nn.ModuleList(
            HourglassModule(downsample_times, stage_channels, stage_blocks, norm_cfg)
            for _ in range(num_stacks)
        )
        self.inters = ResLayer(BasicBlock, width, width, num_stacks - 1, norm_cfg=norm_cfg)
        self.conv1x1s = nn.ModuleList(
            ConvModule(width, width, 1, norm_cfg=norm_cfg, act_cfg=None) for _ in range(num_stacks - 1)
        )
        self.out_convs = nn.ModuleList(
            ConvModule(width, feat_channel, 3, padding=1, norm_cfg=norm_cfg) for _ in range(num_stacks)
        )
        self.remap_convs = nn.ModuleList(
            ConvModule(feat_channel, width, 1, norm_cfg=norm_cfg, act_cfg=None) for _ in range(num_stacks - 1)
        )
        self.relu = nn.ReLU(inplace=True)

    def init_weights(self) -> None:
        """Convolutions start as torch's do."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to a map (N, feat_channel, H/4, W/4) of each hourglass."""
        x = self.stem(x)
        outs = []
        for i, (hourglass, out_conv) in enumerate(zip(self.hourglass_modules, self.out_convs, strict=True)):
            outs.append(out_conv(hourglass(x)))
            if i < self.num_stacks - 1:
                x = self.inters[i](self.relu(self.conv1x1s[i](x) + self.remap_convs[i](outs[-1])))
        return tuple(outs)
