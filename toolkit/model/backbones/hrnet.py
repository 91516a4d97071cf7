"""HRNet: branches of several resolutions side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.model.backbones.common import CONV_NORM_INIT, PartlyFrozen, backbone_init
from toolkit.model.backbones.resnet_blocks import BasicBlock, Bottleneck, ResidualBlock, ResLayer
from toolkit.model.base_module import BaseModule, InitCfg, ModuleList, Sequential
from toolkit.model.cnn import build_conv_layer, build_norm_layer
from toolkit.registry import MODELS
from toolkit.utils import BuildError, did_you_mean

Cfg = Mapping[str, Any]
_BLOCKS: dict[str, type[ResidualBlock]] = {"BASIC": BasicBlock, "BOTTLENECK": Bottleneck}
_STEM_CHANNELS = 64


class _Layers:
    """Makes convolutions with norms of one kind."""

    def __init__(self, conv_cfg: Cfg | None, norm_cfg: Cfg) -> None:
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg

    def conv_norm(self, into: int, out: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        conv = build_conv_layer(
            self.conv_cfg, into, out, kernel, stride=stride, padding=kernel // 2, bias=False
        )
        return [conv, build_norm_layer(self.norm_cfg, out)[1]]

    def downward(self, into: int, out: int, steps: int, last_relu: bool, inplace: bool) -> nn.Sequential:
        """Strided convolutions that halve a map `steps` times; only the last changes the channels."""
        chain = []
        for step in range(steps):
            last = step == steps - 1
            layers = self.conv_norm(into, out if last else into, 3, stride=2)
            chain.append(nn.Sequential(*layers, *([nn.ReLU(inplace)] if last_relu or not last else [])))
        return nn.Sequential(*chain)


class HRModule(BaseModule):
    """Branches of several resolutions, and their exchange behind them.

    State-dict keys: ``branches.i.j.*`` of block j, ``fuse_layers.i.j.*`` from branch j to branch i.

    Args:
        block: The class of the blocks.
        num_blocks: How many each branch has.
        in_channels: Channels of each branch's input.
        num_channels: Channels of each branch's blocks; they give ``expansion`` times as many.
        multiscale_output: Whether all branches are given, or the finest alone.
        with_cp: Recompute the blocks in the backward pass to save memory.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        block_init_cfg: `init_cfg` of the blocks.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        block: type[ResidualBlock],
        num_blocks: Sequence[int],
        in_channels: Sequence[int],
        num_channels: Sequence[int],
        multiscale_output: bool = True,
        with_cp: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        block_init_cfg: Cfg | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.branches = ModuleList(
            ResLayer(block, into, planes, count, with_cp=with_cp, init_cfg=block_init_cfg, **common)
            for into, planes, count in zip(in_channels, num_channels, num_blocks, strict=True)
        )
        widths = [planes * block.expansion for planes in num_channels]
        layers = _Layers(**common)
        self.fuse_layers: nn.ModuleList | None = None
        if len(widths) > 1:
            self.fuse_layers = nn.ModuleList(
                nn.ModuleList(_exchange(layers, widths, source, target) for source in range(len(widths)))  # type: ignore[misc]
                for target in range(len(widths) if multiscale_output else 1)
            )
        self.relu = nn.ReLU(inplace=False)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map i is (N, in_channels[i], H/2^i, W/2^i), as are the outputs with their channels."""
        outs = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        if self.fuse_layers is None:
            return outs
        fused = []
        for target, row in enumerate(self.fuse_layers):
            assert isinstance(row, nn.ModuleList)
            total = outs[0] if target == 0 else row[0](outs[0])
            for source in range(1, len(outs)):
                total = total + (outs[source] if source == target else row[source](outs[source]))
            fused.append(self.relu(total))
        return fused


def _exchange(layers: _Layers, widths: Sequence[int], source: int, target: int) -> nn.Module | None:
    """What brings a branch to the size and the channels of another; None for itself."""
    into, out = widths[source], widths[target]
    if source == target:
        return None
    if source > target:
        up = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(*layers.conv_norm(into, out, 1), up)
    return layers.downward(into, out, target - source, last_relu=False, inplace=False)


def _transition(layers: _Layers, before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """What leads from the branches of a stage to those of the next, which has more; None for nothing."""
    steps: list[nn.Module | None] = []
    for i, out in enumerate(after):
        if i >= len(before):
            steps.append(layers.downward(before[-1], out, i + 1 - len(before), last_relu=True, inplace=True))
        elif before[i] != out:
            steps.append(nn.Sequential(*layers.conv_norm(before[i], out, 3), nn.ReLU(inplace=True)))
        else:
            steps.append(None)
    return nn.ModuleList(steps)  # type: ignore[arg-type]


@MODELS.register_module()
class HRNet(PartlyFrozen):
    """Network that keeps a fine map all through (Sun et al., "Deep High-Resolution Representation Learning",
    2019).

    Args:
        extra: For each of ``stage1`` to ``stage4`` a dict of ``num_modules``, ``num_branches``, ``block``
            ('BASIC' or 'BOTTLENECK'), ``num_blocks`` and ``num_channels``, the latter two one a branch.
        in_channels: Channels of the images.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        norm_eval: Batch norms keep their running statistics while training.
        with_cp: Recompute the blocks in the backward pass to save memory.
        zero_init_residual: The last norm of each block starts at 0, where nothing pretrained is loaded.
        multiscale_output: Whether all branches are given, or the finest alone.
        pretrained: A checkpoint; the older spelling of `init_cfg`.
        init_cfg: See `BaseModule`. By default Kaiming for convolutions, 1 for norms.

    Raises:
        BuildError: `extra` lacks a stage, or a stage's numbers don't fit its branches.
    """

    def __init__(
        self,
        extra: Mapping[str, Cfg],
        in_channels: int = 3,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        norm_eval: bool = True,
        with_cp: bool = False,
        zero_init_residual: bool = False,
        multiscale_output: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(backbone_init(pretrained, init_cfg, CONV_NORM_INIT))
        self.extra = extra
        stages = [_checked_stage(extra, f"stage{number}") for number in range(1, 5)]
        self.norm_eval = norm_eval
        self.zero_init_residual = zero_init_residual and pretrained is None and init_cfg is None
        self._common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self._with_cp = with_cp
        layers = _Layers(**self._common)
        for number, into in ((1, in_channels), (2, _STEM_CHANNELS)):
            name, norm = build_norm_layer(norm_cfg, _STEM_CHANNELS, postfix=number)
            conv = build_conv_layer(conv_cfg, into, _STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(name, norm)
            setattr(self, f"norm{number}_name", name)
        self.relu = nn.ReLU(inplace=True)
        block, _, blocks, planes = stages[0]
        self.layer1 = ResLayer(
            block,
            _STEM_CHANNELS,
            planes[0],
            blocks[0],
            with_cp=with_cp,
            init_cfg=self._block_init(block),
            **self._common,
        )
        widths = [planes[0] * block.expansion]
        for number, stage in enumerate(stages[1:], start=2):
            wider = [channels * stage[0].expansion for channels in stage[3]]
            self.add_module(f"transition{number - 1}", _transition(layers, widths, wider))
            multiscale = multiscale_output or number < len(stages)
            self.add_module(f"stage{number}", self._make_stage(stage, wider, multiscale))
            widths = wider

    def _block_init(self, block: type[ResidualBlock]) -> Cfg | None:
        if not self.zero_init_residual:
            return None
        return {
            "type": "Constant",
            "val": 0,
            "override": {"name": "norm2" if block is BasicBlock else "norm3"},
        }

    def _make_stage(self, stage: _Stage, widths: Sequence[int], multiscale_output: bool) -> Sequential:
        block, modules, blocks, planes = stage
        return Sequential(
            *(
                HRModule(
                    block,
                    blocks,
                    widths,
                    planes,
                    multiscale_output or index < modules - 1,
                    with_cp=self._with_cp,
                    block_init_cfg=self._block_init(block),
                    **self._common,
                )
                for index in range(modules)
            )
        )

    @property
    def norm1(self) -> nn.Module:
        """The first norm of the stem."""
        return getattr(self, str(self.norm1_name))

    @property
    def norm2(self) -> nn.Module:
        """The second norm of the stem."""
        return getattr(self, str(self.norm2_name))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of all branches.

        Args:
            x: Images, (N, in_channels, H, W).

        Returns:
            Map i is (N, C_i, H/(4·2^i), W/(4·2^i)).
        """
        x = self.relu(self.norm1(self.conv1(x)))  # type: ignore[operator]
        x = self.relu(self.norm2(self.conv2(x)))  # type: ignore[operator]
        maps = [self.layer1(x)]
        for number in range(2, 5):
            steps = getattr(self, f"transition{number - 1}")
            # Branches that are new come from the coarsest of those before.
            sources = [*maps, *[maps[-1]] * (len(steps) - len(maps))]
            maps = [x if step is None else step(x) for step, x in zip(steps, sources, strict=True)]
            maps = getattr(self, f"stage{number}")(maps)
        return tuple(maps)


# The class of the blocks, how many modules, blocks of each branch, channels of each branch.
_Stage = tuple[type[ResidualBlock], int, Sequence[int], Sequence[int]]


def _checked_stage(extra: Mapping[str, Cfg], name: str) -> _Stage:
    if name not in extra:
        raise BuildError(f"extra of HRNet lacks {name!r}; it has {sorted(extra)}")
    cfg = extra[name]
    if cfg["block"] not in _BLOCKS:
        raise BuildError(f"{name} of HRNet: no block {cfg['block']!r}{did_you_mean(cfg['block'], _BLOCKS)}")
    branches = cfg["num_branches"]
    if not len(cfg["num_blocks"]) == len(cfg["num_channels"]) == branches:
        raise BuildError(
            f"{name} of HRNet has {branches} branches, but num_blocks is {tuple(cfg['num_blocks'])} and "
            f"num_channels {tuple(cfg['num_channels'])}"
        )
    return _BLOCKS[cfg["block"]], cfg["num_modules"], cfg["num_blocks"], cfg["num_channels"]
