"""ResNet 18 to 152, in the styles of PyTorch and Caffe, and its variants."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.model.backbones.common import CONV_NORM_INIT, PartlyFrozen, backbone_init, freeze
from toolkit.model.backbones.resnet_blocks import BasicBlock, Bottleneck, ResidualBlock, ResLayer
from toolkit.model.base_module import InitCfg
from toolkit.model.cnn import build_conv_layer, build_norm_layer
from toolkit.registry import MODELS
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]


@MODELS.register_module()
class ResNet(PartlyFrozen):
    """Deep residual network (He et al., "Deep Residual Learning for Image Recognition", 2015).

    State-dict keys are torchvision's (``conv1``, ``bn1``, ``layer1.0.conv1``, ...), so its weights load.

    Args:
        depth: 18, 34, 50, 101 or 152.
        in_channels: Channels of the images.
        stem_channels: Channels of the stem; `base_channels` by default.
        base_channels: Channels of the blocks of the first stage; each stage doubles them.
        num_stages: How many stages, 1 to 4.
        strides: Of each stage.
        dilations: Of each stage.
        out_indices: The stages whose outputs are given, from 0.
        style: 'pytorch' or 'caffe': where a bottleneck strides; see `ResidualBlock`.
        deep_stem: Three 3x3 convolutions in place of the 7x7 one.
        avg_down: The shortcuts stride by average pooling.
        frozen_stages: The stem (0) and this many stages don't train, and keep their statistics; -1: all
            train.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        norm_eval: Batch norms keep their running statistics while training.
        dcn: Config of deformable convolutions, for the stages with `stage_with_dcn`.
        stage_with_dcn: Which stages are deformable.
        plugins: Plugin layers: dicts with ``cfg``, ``position`` and, optionally, ``stages`` (a bool each).
        with_cp: Recompute the blocks in the backward pass to save memory.
        zero_init_residual: The last norm of each block starts at 0, so that blocks start as the identity.
        pretrained: A checkpoint; the older spelling of ``init_cfg=dict(type='Pretrained', checkpoint=...)``.
        init_cfg: See `BaseModule`. By default Kaiming for convolutions, 1 for norms.

    Raises:
        BuildError: An argument doesn't fit the others; the message says which.
    """

    arch_settings: dict[int, tuple[type[ResidualBlock], tuple[int, ...]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        depth: int,
        in_channels: int = 3,
        stem_channels: int | None = None,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        style: str = "pytorch",
        deep_stem: bool = False,
        avg_down: bool = False,
        frozen_stages: int = -1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN", "requires_grad": True},  # noqa: B006 - read only
        norm_eval: bool = True,
        dcn: Cfg | None = None,
        stage_with_dcn: Sequence[bool] = (False, False, False, False),
        plugins: Sequence[Cfg] | None = None,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(backbone_init(pretrained, init_cfg, CONV_NORM_INIT))
        self._check(num_stages, strides, dilations, out_indices, dcn, stage_with_dcn)
        self.depth, self.num_stages = depth, num_stages
        self.stem_channels, self.base_channels = stem_channels or base_channels, base_channels
        self.strides, self.dilations, self.out_indices = strides, dilations, out_indices
        self.style, self.deep_stem, self.avg_down = style, deep_stem, avg_down
        self.frozen_stages, self.norm_eval, self.with_cp = frozen_stages, norm_eval, with_cp
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self.dcn, self.stage_with_dcn, self.plugins = dcn, stage_with_dcn, plugins
        self.zero_init_residual = zero_init_residual
        self.block, blocks = self._architecture(depth)
        self.stage_blocks = blocks[:num_stages]

        self._make_stem_layer(in_channels, self.stem_channels)
        own_init = init_cfg is None and pretrained is None
        self.feat_dim = self._make_stages(self._block_init_cfg() if own_init else None)
        self._freeze_stages()

    def _architecture(self, depth: int) -> tuple[type[ResidualBlock], tuple[int, ...]]:
        """The class of the blocks, and how many a stage has."""
        if depth not in self.arch_settings:
            raise BuildError(
                f"depth of {type(self).__name__} must be one of {sorted(self.arch_settings)}, got {depth!r}"
            )
        return self.arch_settings[depth]

    @classmethod
    def _check(
        cls,
        num_stages: int,
        strides: Sequence[int],
        dilations: Sequence[int],
        out_indices: Sequence[int],
        dcn: Cfg | None,
        stage_with_dcn: Sequence[bool],
    ) -> None:
        name = cls.__name__
        if not 1 <= num_stages <= 4:
            raise BuildError(f"num_stages of {name} must be 1 to 4, got {num_stages!r}")
        if not len(strides) == len(dilations) == num_stages:
            raise BuildError(
                f"strides and dilations of {name} need one value each of its {num_stages} stages; "
                f"got {tuple(strides)} and {tuple(dilations)}"
            )
        if not out_indices or not 0 <= min(out_indices) <= max(out_indices) < num_stages:
            raise BuildError(
                f"out_indices of {name} must be from 0 to {num_stages - 1}, got {tuple(out_indices)}"
            )
        if dcn is not None and len(stage_with_dcn) != num_stages:
            raise BuildError(
                f"stage_with_dcn of {name} needs {num_stages} values, got {tuple(stage_with_dcn)}"
            )

    def _block_init_cfg(self) -> Cfg | None:
        if not self.zero_init_residual:
            return None
        last = "norm2" if issubclass(self.block, BasicBlock) else "norm3"
        return {"type": "Constant", "val": 0, "override": {"name": last}}

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        if self.deep_stem:
            half = stem_channels // 2
            layers: list[nn.Module] = []
            for index, (into, out) in enumerate(((in_channels, half), (half, half), (half, stem_channels))):
                stride = 2 if index == 0 else 1
                layers += [
                    build_conv_layer(self.conv_cfg, into, out, 3, stride=stride, padding=1, bias=False),
                    build_norm_layer(self.norm_cfg, out)[1],
                    nn.ReLU(inplace=True),
                ]
            self.stem = nn.Sequential(*layers)
        else:
            self.conv1 = build_conv_layer(
                self.conv_cfg, in_channels, stem_channels, 7, stride=2, padding=3, bias=False
            )
            self.norm1_name, norm1 = build_norm_layer(self.norm_cfg, stem_channels, postfix=1)
            self.add_module(self.norm1_name, norm1)
            self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def _stage_kwargs(self, index: int) -> dict[str, Any]:
        """Arguments of a stage that are its own; at least its ``planes``."""
        return {"planes": self.base_channels * 2**index}

    def _make_stages(self, block_init_cfg: Cfg | None) -> int:
        """Add the stages, and give the channels of the last one's output."""
        inplanes = self.stem_channels
        self.res_layers: list[str] = []
        for i, num_blocks in enumerate(self.stage_blocks):
            own = {"block": self.block, **self._stage_kwargs(i)}
            layer = self.make_res_layer(
                inplanes=inplanes,
                num_blocks=num_blocks,
                stride=self.strides[i],
                dilation=self.dilations[i],
                style=self.style,
                avg_down=self.avg_down,
                with_cp=self.with_cp,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
                dcn=self.dcn if self.dcn is not None and self.stage_with_dcn[i] else None,
                plugins=None if self.plugins is None else self.make_stage_plugins(self.plugins, i),
                init_cfg=block_init_cfg,
                **own,
            )
            inplanes = own["planes"] * self.block.expansion
            self.add_module(f"layer{i + 1}", layer)
            self.res_layers.append(f"layer{i + 1}")
        return inplanes

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build a stage. A subclass with other stages overrides this; arguments: those of `ResLayer`."""
        return ResLayer(**kwargs)

    def make_stage_plugins(self, plugins: Sequence[Cfg], stage_idx: int) -> list[Cfg]:
        """The plugins of one stage, without their ``stages``.

        Raises:
            BuildError: ``stages`` of a plugin has not one value a stage.
        """
        chosen: list[Cfg] = []
        for plugin in copy.deepcopy(list(plugins)):
            plugin = dict(plugin)
            stages = plugin.pop("stages", None)
            if stages is not None and len(stages) != self.num_stages:
                raise BuildError(f"stages of a plugin needs {self.num_stages} values, got {tuple(stages)}")
            if stages is None or stages[stage_idx]:
                chosen.append(plugin)
        return chosen

    @property
    def norm1(self) -> nn.Module:
        """The norm of the stem."""
        return getattr(self, self.norm1_name)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        frozen = [self.stem] if self.deep_stem else [self.norm1, self.conv1]
        frozen += [getattr(self, f"layer{i}") for i in range(1, self.frozen_stages + 1)]
        freeze(frozen)

    def _forward_stem(self, x: Tensor) -> Tensor:
        x = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        return self.maxpool(x)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the stages in `out_indices`.

        Args:
            x: Images, (N, in_channels, H, W).

        Returns:
            A map a stage: stage i is (N, base_channels·2^i·expansion, H/s, W/s), where s is 4 times the
            product of the strides up to it.
        """
        x = self._forward_stem(x)
        outs = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


@MODELS.register_module()
class ResNetV1d(ResNet):
    """ResNet-D: a deep stem, and shortcuts that stride by average pooling.

    From "Bag of Tricks for Image Classification with Convolutional Neural Networks" (He et al. 2018).

    Args:
        **kwargs: Those of `ResNet`, without `deep_stem` and `avg_down`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(deep_stem=True, avg_down=True, **kwargs)
