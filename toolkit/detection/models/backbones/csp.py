"""Backbones of cross stage partial layers: CSPDarknet and CSPNeXt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from toolkit.detection.models.layers.csp_layer import ACT_CFG, INIT_CFG, NORM_CFG, CSPLayer, conv_type
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.backbones.common import PartlyFrozen, freeze
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError, did_you_mean

Cfg = Mapping[str, Any]
Stage = tuple[int, int, int, bool, bool]


class Focus(nn.Module):
    """The four pixels of each 2x2 square as channels of one, then a convolution (Jocher, "YOLOv5", 2020).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Of the convolution.
        stride: Of the convolution.
        conv_cfg: Config of the convolution.
        norm_cfg: Config of the norm.
        act_cfg: Config of the activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
    ) -> None:
        super().__init__()
        self.conv = ConvModule(
            in_channels * 4,
            out_channels,
            kernel_size,
            stride,
            padding=(kernel_size - 1) // 2,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) of even H and W to (N, out_channels, H / 2, W / 2)."""
        left, right = x[..., ::2], x[..., 1::2]
        corners = (left[..., ::2, :], left[..., 1::2, :], right[..., ::2, :], right[..., 1::2, :])
        return self.conv(torch.cat(corners, dim=1))


class SPPBottleneck(BaseModule):
    """Maxima over squares of several sizes, side by side (He et al., "Spatial Pyramid Pooling", 2014).

    State-dict keys: ``conv1.*`` and ``conv2.*``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_sizes: Sides of the squares, odd and growing.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The sizes aren't odd and growing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: Sequence[int] = (5, 9, 13),
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if any(size % 2 == 0 for size in kernel_sizes) or list(kernel_sizes) != sorted(set(kernel_sizes)):
            raise BuildError(f"kernel sizes of SPPBottleneck must be odd and grow, got {tuple(kernel_sizes)}")
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        middle = in_channels // 2
        self.conv1 = ConvModule(in_channels, middle, 1, **common)
        # The maximum of a square is that of the maxima of smaller ones in it: each pooling goes on from the
        # one before, with what is left of its size.
        steps = [size - before + 1 for before, size in pairwise((1, *kernel_sizes))]
        self.poolings = nn.ModuleList(nn.MaxPool2d(step, stride=1, padding=step // 2) for step in steps)
        self.conv2 = ConvModule(middle * (len(kernel_sizes) + 1), out_channels, 1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        maps = [self.conv1(x)]
        for pooling in self.poolings:
            maps.append(pooling(maps[-1]))
        return self.conv2(torch.cat(maps, dim=1))


class _CSPBackbone(PartlyFrozen):
    """A stem and stages of a strided convolution and a `CSPLayer`; the last has an `SPPBottleneck`.

    A subclass has ``arch_settings``: for each name a row a stage, of input channels, output channels, blocks,
    whether blocks have a shortcut, and whether there is an `SPPBottleneck`.
    """

    arch_settings: ClassVar[dict[str, list[Stage]]]

    def __init__(
        self,
        arch: str,
        deepen_factor: float,
        widen_factor: float,
        out_indices: Sequence[int],
        frozen_stages: int,
        use_depthwise: bool,
        arch_ovewrite: Sequence[Stage] | None,
        spp_sizes: Sequence[int],
        norm_eval: bool,
        csp_cfg: dict[str, Any],
        common: dict[str, Any],
        init_cfg: Any,
    ) -> None:
        super().__init__(init_cfg)
        settings = self._checked(arch, arch_ovewrite, out_indices, frozen_stages)
        self.out_indices, self.frozen_stages, self.norm_eval = out_indices, frozen_stages, norm_eval
        self.use_depthwise = use_depthwise
        self.stem = self._stem(settings[0][0] * widen_factor, common)
        self.layers = ["stem"]
        for i, (inside, outside, blocks, add_identity, use_spp) in enumerate(settings, start=1):
            channels = int(outside * widen_factor)
            stage: list[nn.Module] = [
                conv_type(use_depthwise)(
                    int(inside * widen_factor), channels, 3, stride=2, padding=1, **common
                )
            ]
            if use_spp:
                stage.append(SPPBottleneck(channels, channels, spp_sizes, **common))
            layer = CSPLayer(
                channels,
                channels,
                num_blocks=max(round(blocks * deepen_factor), 1),
                add_identity=add_identity,
                use_depthwise=use_depthwise,
                **csp_cfg,
                **common,
            )
            self.add_module(f"stage{i}", nn.Sequential(*stage, layer))
            self.layers.append(f"stage{i}")
        self._freeze_stages()

    def _checked(
        self, arch: str, overwrite: Sequence[Stage] | None, out_indices: Sequence[int], frozen_stages: int
    ) -> Sequence[Stage]:
        name = type(self).__name__
        if arch not in self.arch_settings:
            known = list(self.arch_settings)
            raise BuildError(
                f"arch of {name} must be one of {known}, got {arch!r}{did_you_mean(arch, known)}"
            )
        settings = overwrite or self.arch_settings[arch]
        last = len(settings)
        if not set(out_indices) <= set(range(last + 1)):
            raise BuildError(f"out_indices of {name} must be from 0 to {last}, got {tuple(out_indices)}")
        if not -1 <= frozen_stages <= last:
            raise BuildError(f"frozen_stages of {name} must be from -1 to {last}, got {frozen_stages}")
        return settings

    @abstractmethod
    def _stem(self, channels: float, common: dict[str, Any]) -> nn.Module:
        """What comes before the stages, at half of the image's size."""

    def _freeze_stages(self) -> None:
        freeze(getattr(self, name) for name in self.layers[: self.frozen_stages + 1])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of the stages in `out_indices`, of images (N, 3, H, W); stage i is H / 2^(i+1) high."""
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


@MODELS.register_module()
class CSPDarknet(_CSPBackbone):
    """The backbone of YOLOX (Ge et al., "YOLOX", 2021).

    State-dict keys: ``stem.conv.*`` and ``stage1`` to ``stage4``, or ``stage5``.

    Args:
        arch: 'P5' or 'P6', which has a stage more.
        deepen_factor: Factor of the numbers of blocks.
        widen_factor: Factor of the numbers of channels.
        out_indices: The stages whose outputs are given; 0 is the stem.
        frozen_stages: The stem and this many stages don't train; -1: all train.
        use_depthwise: Convolutions are depthwise separable.
        arch_ovewrite: A row a stage in place of those of `arch`: input channels, output channels, blocks,
            whether blocks have a shortcut, and whether there is an `SPPBottleneck`.
        spp_kernal_sizes: See `SPPBottleneck`.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        norm_eval: Batch norms keep their running statistics while training.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: An argument is out of its range.
    """

    arch_settings: ClassVar[dict[str, list[Stage]]] = {
        "P5": [
            (64, 128, 3, True, False),
            (128, 256, 9, True, False),
            (256, 512, 9, True, False),
            (512, 1024, 3, False, True),
        ],
        "P6": [
            (64, 128, 3, True, False),
            (128, 256, 9, True, False),
            (256, 512, 9, True, False),
            (512, 768, 3, True, False),
            (768, 1024, 3, False, True),
        ],
    }

    def __init__(
        self,
        arch: str = "P5",
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_depthwise: bool = False,
        arch_ovewrite: Sequence[Stage] | None = None,
        spp_kernal_sizes: Sequence[int] = (5, 9, 13),
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
        norm_eval: bool = False,
        init_cfg: Any = INIT_CFG,
    ) -> None:
        super().__init__(
            arch,
            deepen_factor,
            widen_factor,
            out_indices,
            frozen_stages,
            use_depthwise,
            arch_ovewrite,
            spp_kernal_sizes,
            norm_eval,
            csp_cfg={},
            common={"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg},
            init_cfg=init_cfg,
        )

    def _stem(self, channels: float, common: dict[str, Any]) -> nn.Module:
        return Focus(3, int(channels), kernel_size=3, **common)


@MODELS.register_module()
class CSPNeXt(_CSPBackbone):
    """The backbone of RTMDet (Lyu et al., "RTMDet", 2022).

    State-dict keys: ``stem.i.*`` and ``stage1`` to ``stage4``, or ``stage5``.

    Args:
        arch: 'P5' or 'P6', which has a stage more.
        deepen_factor: See `CSPDarknet`, as for the next four.
        widen_factor: Factor of the numbers of channels.
        out_indices: The stages whose outputs are given; 0 is the stem.
        frozen_stages: The stem and this many stages don't train.
        use_depthwise: All convolutions are depthwise separable.
        expand_ratio: See `CSPLayer`.
        arch_ovewrite: See `CSPDarknet`.
        spp_kernel_sizes: See `SPPBottleneck`.
        channel_attention: See `CSPLayer`.
        conv_cfg: Config of the convolutions of the stages.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        norm_eval: Batch norms keep their running statistics while training.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: An argument is out of its range.
    """

    arch_settings: ClassVar[dict[str, list[Stage]]] = {
        "P5": [
            (64, 128, 3, True, False),
            (128, 256, 6, True, False),
            (256, 512, 6, True, False),
            (512, 1024, 3, False, True),
        ],
        "P6": [
            (64, 128, 3, True, False),
            (128, 256, 6, True, False),
            (256, 512, 6, True, False),
            (512, 768, 3, True, False),
            (768, 1024, 3, False, True),
        ],
    }

    def __init__(
        self,
        arch: str = "P5",
        deepen_factor: float = 1.0,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (2, 3, 4),
        frozen_stages: int = -1,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        arch_ovewrite: Sequence[Stage] | None = None,
        spp_kernel_sizes: Sequence[int] = (5, 9, 13),
        channel_attention: bool = True,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = {"type": "SiLU"},  # noqa: B006 - read only
        norm_eval: bool = False,
        init_cfg: Any = INIT_CFG,
    ) -> None:
        super().__init__(
            arch,
            deepen_factor,
            widen_factor,
            out_indices,
            frozen_stages,
            use_depthwise,
            arch_ovewrite,
            spp_kernel_sizes,
            norm_eval,
            csp_cfg={
                "use_cspnext_block": True,
                "expand_ratio": expand_ratio,
                "channel_attention": channel_attention,
            },
            common={"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg},
            init_cfg=init_cfg,
        )

    def _stem(self, channels: float, common: dict[str, Any]) -> nn.Module:
        half, whole = int(channels // 2), int(channels)
        common = {**common, "conv_cfg": None}
        return nn.Sequential(
            ConvModule(3, half, 3, padding=1, stride=2, **common),
            ConvModule(half, half, 3, padding=1, **common),
            ConvModule(half, whole, 3, padding=1, **common),
        )
