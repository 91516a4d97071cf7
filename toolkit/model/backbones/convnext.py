"""ConvNeXt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.model.backbones.common import PartlyFrozen, drop_path_rates, freeze, maybe_recomputed
from toolkit.model.base_module import BaseModule, InitCfg, ModuleList, Sequential
from toolkit.model.cnn import LayerNorm2d, build_activation_layer, build_norm_layer
from toolkit.model.transformer import DropPath
from toolkit.registry import MODELS
from toolkit.utils import BuildError, did_you_mean

Cfg = Mapping[str, Any]
_LN2D = {"type": "LN2d", "eps": 1e-6}
_GELU = {"type": "GELU"}
_INIT = [
    {"type": "TruncNormal", "layer": ["Conv2d", "Linear"], "std": 0.02, "bias": 0.0},
    {"type": "Constant", "layer": ["LayerNorm"], "val": 1.0, "bias": 0.0},
]
_DEEP = 9  # from so many blocks in the third stage on, weight decay by depth has finer steps


@MODELS.register_module()
class GRN(nn.Module):
    """Channels compete by their size over the whole map (Woo et al., "ConvNeXt V2", 2023).

    Args:
        in_channels: Channels of the input.
        eps: Added to the mean size.
    """

    def __init__(self, in_channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.in_channels, self.eps = in_channels, eps
        self.gamma = nn.Parameter(torch.zeros(in_channels))
        self.beta = nn.Parameter(torch.zeros(in_channels))

    def forward(self, x: Tensor, data_format: str = "channel_first") -> Tensor:
        """(N, C, H, W) in and out; (N, H, W, C) where `data_format` is 'channel_last'."""
        last = data_format == "channel_last"
        channels, places = (-1, (1, 2)) if last else (1, (2, 3))
        size = torch.linalg.vector_norm(x, dim=places, keepdim=True)
        size = size / (size.mean(dim=channels, keepdim=True) + self.eps)
        shape = (-1,) if last else (1, -1, 1, 1)
        return self.gamma.view(shape) * (x * size) + self.beta.view(shape) + x


class ConvNeXtBlock(BaseModule):
    """Depthwise convolution, norm, and two 1x1 layers with an activation between them.

    State-dict keys: ``gamma``, ``depthwise_conv.*``, ``norm.*``, ``pointwise_conv1.*``,
    ``pointwise_conv2.*``, ``grn.*``.

    Args:
        in_channels: Channels.
        dw_conv_cfg: Arguments of the depthwise convolution.
        norm_cfg: Config of the norm.
        act_cfg: Config of the activation.
        mlp_ratio: Channels between the 1x1 layers, as a multiple.
        linear_pw_conv: Whether they are linear layers, or convolutions.
        drop_path_rate: Probability of the residual to be dropped.
        layer_scale_init_value: What the factor of each channel starts with; 0 for no factors.
        use_grn: Whether a `GRN` stands behind the activation.
        with_cp: Recompute the block in the backward pass to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        dw_conv_cfg: Cfg = {"kernel_size": 7, "padding": 3},  # noqa: B006 - read only
        norm_cfg: Cfg = _LN2D,
        act_cfg: Cfg = _GELU,
        mlp_ratio: float = 4.0,
        linear_pw_conv: bool = True,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        use_grn: bool = False,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp, self.linear_pw_conv = with_cp, linear_pw_conv
        self.depthwise_conv = nn.Conv2d(in_channels, in_channels, groups=in_channels, **dw_conv_cfg)
        self.norm = build_norm_layer(norm_cfg, in_channels)[1]
        middle = int(mlp_ratio * in_channels)
        layer: Any = nn.Linear if linear_pw_conv else partial(nn.Conv2d, kernel_size=1)
        self.pointwise_conv1 = layer(in_channels, middle)
        self.act = build_activation_layer(act_cfg)
        self.pointwise_conv2 = layer(middle, in_channels)
        self.grn = GRN(middle) if use_grn else None
        self.gamma = (
            nn.Parameter(layer_scale_init_value * torch.ones(in_channels))
            if layer_scale_init_value > 0
            else None
        )
        self.drop_path: nn.Module = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()

    def _whole(self, x: Tensor) -> Tensor:
        data_format = "channel_last" if self.linear_pw_conv else "channel_first"
        out = self.depthwise_conv(x)
        if self.linear_pw_conv:
            out = out.permute(0, 2, 3, 1)
        if isinstance(self.norm, LayerNorm2d):
            out = self.norm(out, data_format=data_format)
        else:
            out = self.norm(out)
        out = self.act(self.pointwise_conv1(out))
        if self.grn is not None:
            out = self.grn(out, data_format=data_format)
        out = self.pointwise_conv2(out)
        if self.linear_pw_conv:
            out = out.permute(0, 3, 1, 2)
        if self.gamma is not None:
            out = out * self.gamma.view(1, -1, 1, 1)
        return x + self.drop_path(out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in, the same shape out."""
        return maybe_recomputed(self._whole, x, self.with_cp)


@MODELS.register_module()
class ConvNeXt(PartlyFrozen):
    """Convolutional network shaped after transformers (Liu et al., "A ConvNet for the 2020s", 2022).

    Args:
        arch: A name such as 'tiny', or a dict of ``depths`` and ``channels``, one a stage.
        in_channels: Channels of the images.
        stem_patch_size: Side and distance of the stem's patches.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        linear_pw_conv: See `ConvNeXtBlock`.
        use_grn: See `ConvNeXtBlock`.
        drop_path_rate: Probability of the last residual to be dropped; it rises from 0 evenly.
        layer_scale_init_value: See `ConvNeXtBlock`.
        out_indices: The stages whose outputs are given, from 0; negative from the end.
        frozen_stages: So many stages, with what leads to them, don't train.
        gap_before_final_norm: Give the normalised mean of each map, (N, C), as a classifier needs; a detector
            sets it to False.
        with_cp: Recompute the blocks in the backward pass to save memory.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: There is no such `arch`, or an index is out of range.
    """

    arch_settings: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
        "atto": ((2, 2, 6, 2), (40, 80, 160, 320)),
        "femto": ((2, 2, 6, 2), (48, 96, 192, 384)),
        "pico": ((2, 2, 6, 2), (64, 128, 256, 512)),
        "nano": ((2, 2, 8, 2), (80, 160, 320, 640)),
        "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
        "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
        "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
        "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
        "xlarge": ((3, 3, 27, 3), (256, 512, 1024, 2048)),
        "huge": ((3, 3, 27, 3), (352, 704, 1408, 2816)),
    }

    def __init__(
        self,
        arch: str | Mapping[str, Sequence[int]] = "tiny",
        in_channels: int = 3,
        stem_patch_size: int = 4,
        norm_cfg: Cfg = _LN2D,
        act_cfg: Cfg = _GELU,
        linear_pw_conv: bool = True,
        use_grn: bool = False,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 1e-6,
        out_indices: int | Sequence[int] = -1,
        frozen_stages: int = 0,
        gap_before_final_norm: bool = True,
        with_cp: bool = False,
        init_cfg: InitCfg = _INIT,
    ) -> None:
        super().__init__(init_cfg)
        self.depths, self.channels = self._shape(arch)
        self.num_stages = len(self.depths)
        indices = [out_indices] if isinstance(out_indices, int) else list(out_indices)
        self.out_indices = [index % self.num_stages for index in indices]
        if not all(-self.num_stages <= index < self.num_stages for index in indices):
            raise BuildError(f"out_indices of ConvNeXt with {self.num_stages} stages: got {indices}")
        self.frozen_stages, self.gap_before_final_norm = frozen_stages, gap_before_final_norm
        block = partial(
            ConvNeXtBlock,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            linear_pw_conv=linear_pw_conv,
            layer_scale_init_value=layer_scale_init_value,
            use_grn=use_grn,
            with_cp=with_cp,
        )
        rates = iter(drop_path_rates(drop_path_rate, sum(self.depths)))
        patches = nn.Conv2d(in_channels, self.channels[0], stem_patch_size, stride=stem_patch_size)
        self.downsample_layers = ModuleList(
            [nn.Sequential(patches, build_norm_layer(norm_cfg, self.channels[0])[1])]
        )
        self.stages = nn.ModuleList()
        for i, (depth, width) in enumerate(zip(self.depths, self.channels, strict=True)):
            if i:
                before = self.channels[i - 1]
                halving = nn.Conv2d(before, width, 2, stride=2)
                self.downsample_layers.append(nn.Sequential(build_norm_layer(norm_cfg, before)[1], halving))
            self.stages.append(Sequential(*(block(width, drop_path_rate=next(rates)) for _ in range(depth))))
            if i in self.out_indices:
                self.add_module(f"norm{i}", build_norm_layer(norm_cfg, width)[1])
        self._freeze_stages()

    def _shape(self, arch: str | Mapping[str, Sequence[int]]) -> tuple[Sequence[int], Sequence[int]]:
        if isinstance(arch, str):
            if arch not in self.arch_settings:
                raise BuildError(f"ConvNeXt has no arch {arch!r}{did_you_mean(arch, self.arch_settings)}")
            return self.arch_settings[arch]
        if not {"depths", "channels"} <= set(arch) or len(arch["depths"]) != len(arch["channels"]):
            raise BuildError(
                f"arch of ConvNeXt needs 'depths' and 'channels', one a stage; got {dict(arch)!r}"
            )
        return arch["depths"], arch["channels"]

    def _freeze_stages(self) -> None:
        freeze([*self.downsample_layers[: self.frozen_stages], *self.stages[: self.frozen_stages]])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of the stages in `out_indices`.

        Args:
            x: Images, (N, in_channels, H, W).

        Returns:
            A map a stage: stage i is (N, channels[i], H/s, W/s), where s is `stem_patch_size` times 2^i; or
            their means, (N, channels[i]), with `gap_before_final_norm`.
        """
        outs = []
        for i, stage in enumerate(self.stages):
            x = stage(self.downsample_layers[i](x))
            if i in self.out_indices:
                norm = getattr(self, f"norm{i}")
                if self.gap_before_final_norm:
                    outs.append(norm(x.mean((-2, -1), keepdim=True)).flatten(1))
                else:
                    outs.append(norm(x))
        return tuple(outs)

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """The depth that a parameter counts as for learning rates that decay with depth, and how many there
        are.

        Args:
            param_name: Name of the parameter.
            prefix: What of the name is before the backbone's own; other names count as the deepest.
        """
        deepest = 12 if self.depths[-2] > _DEEP else 6
        if not param_name.startswith(prefix):
            return deepest + 1, deepest + 2
        part, *numbers = param_name[len(prefix) :].split(".")[:3]
        if part not in ("downsample_layers", "stages"):
            return deepest + 1, deepest + 2
        stage = int(numbers[0])
        if part == "downsample_layers":
            depth = (0, 2, 3, deepest)[stage]
        else:
            depth = (1, 2, 3 + int(numbers[1]) // 3, deepest)[stage]
        return depth, deepest + 2
