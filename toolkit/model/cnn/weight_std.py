"""Convolutions with standardised weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model.cnn.deform_conv import deform_conv2d
from toolkit.registry import MODELS

_AWS_EPS = 1e-5


@MODELS.register_module("ConvWS")
class ConvWS2d(nn.Conv2d):
    """Convolution whose kernels have zero mean and unit deviation (Qiao et al., "Weight Standardization",
    2019).

    Args:
        in_channels: See `torch.nn.Conv2d`, also for the arguments up to `bias`.
        out_channels: Channels of the output.
        kernel_size: Of the convolution.
        stride: Of the convolution.
        padding: Zeros on each side.
        dilation: Of the kernel.
        groups: Of channels.
        bias: Whether there is a bias.
        eps: Added to the deviation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        # Mean and deviation apart, each over a flat kernel: fused, they differ in the last digit, which deep
        # networks with group norm make visible.
        flat = self.weight.flatten(1)
        mean, std = flat.mean(dim=1), flat.std(dim=1)
        weight = (self.weight - mean.view(-1, 1, 1, 1)) / (std.view(-1, 1, 1, 1) + self.eps)
        return self._conv_forward(x, weight, self.bias)


@MODELS.register_module("ConvAWS")
class ConvAWS2d(nn.Conv2d):
    """Convolution whose kernels are standardised and then given a fixed deviation and mean of their own.

    With those of pretrained weights it starts as the pretrained convolution: they are taken from the weight
    where a checkpoint has none (Qiao et al., "DetectoRS", 2020). State-dict keys: ``weight``, ``bias``,
    ``weight_gamma`` and ``weight_beta``, both (out_channels, 1, 1, 1).

    Arguments: those of `torch.nn.Conv2d`.
    """

    weight_gamma: Tensor
    weight_beta: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.register_buffer("weight_gamma", torch.ones(out_channels, 1, 1, 1))
        self.register_buffer("weight_beta", torch.zeros(out_channels, 1, 1, 1))

    def _standardised(self) -> Tensor:
        mean, std = _mean_and_std(self.weight)
        return self.weight_gamma * ((self.weight - mean) / std) + self.weight_beta

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        return self._conv_forward(x, self._standardised(), self.bias)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        own = (f"{prefix}weight_beta", f"{prefix}weight_gamma")
        weight, gamma = state_dict.get(f"{prefix}weight"), state_dict.get(own[1])
        # Deviations are positive: anything else was never set.
        if weight is not None and (gamma is None or gamma.mean() <= 0):
            state_dict = {**state_dict, **dict(zip(own, _mean_and_std(weight), strict=True))}
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _mean_and_std(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Of each kernel of a weight (O, I, kH, kW); both (O, 1, 1, 1)."""
    flat = weight.flatten(1)
    shape = (-1, 1, 1, 1)
    return flat.mean(dim=1).view(shape), torch.sqrt(flat.var(dim=1) + _AWS_EPS).view(shape)


@MODELS.register_module("SAC")
class SAConv2d(ConvAWS2d):
    """Switchable atrous convolution: a learned switch between two dilations (Qiao et al., "DetectoRS", 2020).

    Args:
        in_channels: See `torch.nn.Conv2d`, also for the arguments up to `bias`.
        out_channels: Channels of the output.
        kernel_size: Of the convolution; 3 where `use_deform`.
        stride: Of the convolution.
        padding: Zeros on each side; three times as many for the larger dilation.
        dilation: Of the kernel; three times as large in the second convolution.
        groups: Of channels.
        bias: Whether there is a bias. It is kept, as in published checkpoints, and not used.
        use_deform: Whether both convolutions are deformable.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        use_deform: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.use_deform = use_deform
        self.switch = nn.Conv2d(in_channels, 1, 1, stride=stride)
        self.weight_diff = nn.Parameter(torch.empty_like(self.weight))
        self.pre_context = nn.Conv2d(in_channels, in_channels, 1)
        self.post_context = nn.Conv2d(out_channels, out_channels, 1)
        if use_deform:
            self.offset_s = nn.Conv2d(in_channels, 18, 3, stride=stride, padding=1)
            self.offset_l = nn.Conv2d(in_channels, 18, 3, stride=stride, padding=1)
        self.init_weights()

    def init_weights(self) -> None:
        """Start as the plain convolution of the smaller dilation."""
        for param in (*self.pre_context.parameters(), *self.post_context.parameters(), self.weight_diff):
            nn.init.zeros_(param)
        nn.init.zeros_(self.switch.weight)
        nn.init.ones_(self.switch.bias)  # type: ignore[arg-type]
        if self.use_deform:
            for param in (*self.offset_s.parameters(), *self.offset_l.parameters()):
                nn.init.zeros_(param)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        x = x + self.pre_context(F.adaptive_avg_pool2d(x, 1))
        around = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
        switch = self.switch(around)
        weight = self._standardised()
        small = self._convolve(x, weight, 1, self.offset_s(around) if self.use_deform else None)
        large = self._convolve(
            x, weight + self.weight_diff, 3, self.offset_l(around) if self.use_deform else None
        )
        out = switch * small + (1 - switch) * large
        return out + self.post_context(F.adaptive_avg_pool2d(out, 1))

    def _convolve(self, x: Tensor, weight: Tensor, widening: int, offset: Tensor | None) -> Tensor:
        padding = tuple(widening * int(side) for side in self.padding)
        dilation = tuple(widening * step for step in self.dilation)
        if offset is None:
            return F.conv2d(x, weight, None, self.stride, padding, dilation, self.groups)
        return deform_conv2d(x, offset, weight, None, self.stride, padding, dilation)
