"""`ConvModule`: a convolution with its norm and activation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from toolkit.model.cnn.activations import build_activation_layer
from toolkit.model.cnn.layers import build_conv_layer, build_padding_layer
from toolkit.model.cnn.norms import build_norm_layer
from toolkit.model.conv_bn_eval import can_fold, folded
from toolkit.registry import MODELS
from toolkit.utils import BuildError
from toolkit.utils.dl_utils import is_norm

_STEPS = ("conv", "norm", "act")
_TORCH_PADDING = ("zeros", "circular")


@MODELS.register_module()
class ConvModule(nn.Module):
    """Convolution, norm and activation, in any order.

    State-dict keys: ``conv.*``, and the norm's under its short name (``bn``, ``gn``, ``in``, ``ln``).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Of the convolution, like the next four.
        stride: See `torch.nn.Conv2d`.
        padding: See `torch.nn.Conv2d`.
        dilation: See `torch.nn.Conv2d`.
        groups: See `torch.nn.Conv2d`.
        bias: Whether the convolution has a bias; 'auto': where there is no norm.
        conv_cfg: The convolution's config; None for a plain 2-D one.
        norm_cfg: The norm's config; None for none.
        act_cfg: The activation's config; None for none.
        inplace: Whether the activation works in place, where it can.
        with_spectral_norm: Whether the weight is normalised spectrally.
        padding_mode: 'zeros' or 'circular' as in torch, or the name of a padding layer ('reflect',
            'replicate').
        order: The order of 'conv', 'norm' and 'act'.
        efficient_conv_bn_eval: Take a batch norm in eval mode that comes right behind the convolution into
            its weights, as `toolkit.model.turn_on_efficient_conv_bn_eval` does.

    Raises:
        BuildError: `order` is not a permutation of the three, or a config is wrong.
    """

    _abbr_ = "conv_block"

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool | str = "auto",
        conv_cfg: Mapping[str, Any] | None = None,
        norm_cfg: Mapping[str, Any] | None = None,
        act_cfg: Mapping[str, Any] | None = {"type": "ReLU"},
        inplace: bool = True,
        with_spectral_norm: bool = False,
        padding_mode: str = "zeros",
        order: Sequence[str] = _STEPS,
        efficient_conv_bn_eval: bool = False,
    ) -> None:
        super().__init__()
        if sorted(order) != sorted(_STEPS):
            raise BuildError(f"order of a ConvModule must be a permutation of {_STEPS}, got {tuple(order)!r}")
        self.order = tuple(order)
        self.act_cfg = act_cfg
        self.with_norm = norm_cfg is not None
        self.with_activation = act_cfg is not None
        self.with_bias = not self.with_norm if bias == "auto" else bool(bias)
        self.with_explicit_padding = padding_mode not in _TORCH_PADDING
        if self.with_explicit_padding:
            self.padding_layer = build_padding_layer({"type": padding_mode}, padding)
        self.conv: Any = build_conv_layer(
            conv_cfg,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=0 if self.with_explicit_padding else padding,
            dilation=dilation,
            groups=groups,
            bias=self.with_bias,
            **({"padding_mode": padding_mode} if padding_mode == "circular" else {}),
        )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.groups = dilation, groups
        if with_spectral_norm:
            self.conv = spectral_norm(self.conv)
        self.norm_name: str | None = None
        if norm_cfg is not None:
            channels = out_channels if self.order.index("norm") > self.order.index("conv") else in_channels
            self.norm_name, norm = build_norm_layer(norm_cfg, channels)
            self.add_module(self.norm_name, norm)
        if act_cfg is not None:
            self.activate = build_activation_layer(act_cfg, inplace=inplace)
        behind = self.order[self.order.index("conv") + 1 :][:1] == ("norm",)
        self.efficient_conv_bn_eval = efficient_conv_bn_eval and behind and can_fold(self.conv, self.norm)
        self.init_weights()

    @property
    def norm(self) -> nn.Module | None:
        """The norm layer, or None."""
        return getattr(self, self.norm_name) if self.norm_name else None

    def init_weights(self) -> None:
        """Kaiming-normal weights and zero bias; a norm's weight is 1, its bias 0.

        A convolution that initialises itself (one with its own `init_weights`) is left alone.
        """
        if not hasattr(self.conv, "init_weights"):
            act = dict(self.act_cfg or {})
            leaky = act.get("type") == "LeakyReLU"
            slope = act.get("negative_slope", 0.01) if leaky else 0
            weight = self.conv.weight
            nn.init.kaiming_normal_(
                weight, a=slope, mode="fan_out", nonlinearity="leaky_relu" if leaky else "relu"
            )
            if self.conv.bias is not None:
                nn.init.zeros_(self.conv.bias)
        norm = self.norm
        if is_norm(norm) and norm.weight is not None:
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)

    def forward(self, x: Tensor, activate: bool = True, norm: bool = True) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W').

        Args:
            x: The input.
            activate: Whether to apply the activation.
            norm: Whether to apply the norm.
        """
        both = norm and self.efficient_conv_bn_eval and not self.norm.training  # type: ignore[union-attr]
        for step in self.order:
            if step == "conv":
                if self.with_explicit_padding:
                    x = self.padding_layer(x)
                x = folded(self.conv, self.norm, x) if both else self.conv(x)
            elif step == "norm" and norm and self.norm_name is not None and not both:
                x = getattr(self, self.norm_name)(x)
            elif step == "act" and activate and self.with_activation:
                x = self.activate(x)
        return x
