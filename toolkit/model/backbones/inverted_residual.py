"""Inverted residual block: wide in the middle, where it is depthwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from toolkit.model.backbones.common import maybe_recomputed
from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.model.cnn import ConvModule, SELayer
from toolkit.model.transformer import DropPath
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]


class InvertedResidual(BaseModule):
    """1x1 convolution to more channels, depthwise convolution, 1x1 to fewer (Sandler et al., "MobileNetV2",
    2018).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        mid_channels: Channels in the middle.
        kernel_size: Of the depthwise convolution.
        stride: Of the depthwise convolution, 1 or 2.
        se_cfg: Arguments of an `SELayer` in the middle; None for none.
        with_expand_conv: Whether there is a first convolution; without, ``mid_channels == in_channels``.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        drop_path_rate: Probability of the residual to be dropped.
        with_cp: Recompute the block in the backward pass to save memory.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The stride or the channels don't fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        se_cfg: Cfg | None = None,
        with_expand_conv: bool = True,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = {"type": "BN"},  # noqa: B006 - read only
        act_cfg: Cfg | None = {"type": "ReLU"},  # noqa: B006 - read only
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if stride not in (1, 2):
            raise BuildError(f"stride of an inverted residual must be 1 or 2, got {stride!r}")
        if not with_expand_conv and mid_channels != in_channels:
            raise BuildError(
                f"an inverted residual without its first convolution has as many channels in the middle "
                f"({mid_channels}) as in the input ({in_channels})"
            )
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.with_res_shortcut = stride == 1 and in_channels == out_channels
        self.with_cp = with_cp
        self.drop_path: nn.Module = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()
        layers: dict[str, nn.Module] = {}
        if with_expand_conv:
            layers["expand_conv"] = ConvModule(in_channels, mid_channels, 1, act_cfg=act_cfg, **common)
        layers["depthwise_conv"] = ConvModule(
            mid_channels,
            mid_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=mid_channels,
            act_cfg=act_cfg,
            **common,
        )
        if se_cfg is not None:
            layers["se"] = SELayer(**se_cfg)
        layers["linear_conv"] = ConvModule(mid_channels, out_channels, 1, act_cfg=None, **common)
        self._steps = list(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def _whole(self, x: Tensor) -> Tensor:
        out = x
        for name in self._steps:
            out = getattr(self, name)(out)
        return x + self.drop_path(out) if self.with_res_shortcut else out

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H/stride, W/stride)."""
        return maybe_recomputed(self._whole, x, self.with_cp)
