"""Depthwise separable convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from toolkit.model.cnn.conv_module import ConvModule

_RELU = {"type": "ReLU"}
CfgOrDefault = Mapping[str, Any] | str | None


class DepthwiseSeparableConvModule(nn.Module):
    """A convolution a channel, and one of 1x1 that mixes them (Howard et al., "MobileNets", 2017).

    State-dict keys: ``depthwise_conv.*`` and ``pointwise_conv.*``, those of a `ConvModule` each.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Of the first convolution, like the next three.
        stride: See `ConvModule`.
        padding: See `ConvModule`.
        dilation: See `ConvModule`.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        dw_norm_cfg: That of the first convolution; 'default': `norm_cfg`.
        dw_act_cfg: That of the first convolution; 'default': `act_cfg`.
        pw_norm_cfg: That of the second convolution; 'default': `norm_cfg`.
        pw_act_cfg: That of the second convolution; 'default': `act_cfg`.
        **kwargs: Further arguments of both `ConvModule`; not `groups`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = _RELU,
        dw_norm_cfg: CfgOrDefault = "default",
        dw_act_cfg: CfgOrDefault = "default",
        pw_norm_cfg: CfgOrDefault = "default",
        pw_act_cfg: CfgOrDefault = "default",
        **kwargs: Any,
    ) -> None:
        super().__init__()

        def chosen(own: CfgOrDefault, shared: Mapping[str, Any] | None) -> Any:
            return shared if own == "default" else own

        self.depthwise_conv = ConvModule(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            norm_cfg=chosen(dw_norm_cfg, norm_cfg),
            act_cfg=chosen(dw_act_cfg, act_cfg),
            **kwargs,
        )
        self.pointwise_conv = ConvModule(
            in_channels,
            out_channels,
            1,
            norm_cfg=chosen(pw_norm_cfg, norm_cfg),
            act_cfg=chosen(pw_act_cfg, act_cfg),
            **kwargs,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        return self.pointwise_conv(self.depthwise_conv(x))
