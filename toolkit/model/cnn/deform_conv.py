"""Deformable convolutions that predict their own offsets, on `torchvision.ops`."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair
from torchvision import ops

from toolkit.registry import MODELS
from toolkit.utils import TrainingError


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """`torchvision.ops.deform_conv2d`, which on the CPU ends the process where an offset is no number.

    Raises:
        TrainingError: That is so.
    """
    # Where a GPU computes, a look would wait for it in every layer.
    if offset.device.type == "cpu" and bool(offset.detach().sum().isnan()):
        raise TrainingError(
            "the offsets of a deformable convolution are not numbers: the weights, or what they were given, "
            "have grown beyond all bounds. Lower the learning rate, clip the gradients "
            "(optim_wrapper.clip_grad=dict(max_norm=35)), or start from pretrained weights"
        )
    return ops.deform_conv2d(x, offset, weight, *args, **kwargs)


class _DeformConvPack(nn.Module):
    """The weights that both versions share; `mask_channels` is 1 where sampled values are modulated."""

    mask_channels = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = False,
        deformable_groups: int | None = None,
    ) -> None:
        super().__init__()
        deform_groups = deform_groups if deformable_groups is None else deformable_groups
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size: tuple[int, int] = _pair(kernel_size)
        self.stride, self.padding, self.dilation = _pair(stride), _pair(padding), _pair(dilation)
        self.groups, self.deform_groups = groups, deform_groups
        area = self.kernel_size[0] * self.kernel_size[1]
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.conv_offset = nn.Conv2d(
            in_channels,
            deform_groups * (2 + self.mask_channels) * area,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
        )
        self.init_weights()

    def init_weights(self) -> None:
        """Uniform weights by fan-in; offsets start at zero, so that it starts as a plain convolution."""
        fan_in = self.weight[0].numel()
        nn.init.uniform_(self.weight, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)  # type: ignore[arg-type]

    def _convolve(self, x: Tensor, offset: Tensor, mask: Tensor | None) -> Tensor:
        if x.is_cpu and not {x.dtype, offset.dtype}.isdisjoint((torch.bfloat16, torch.half)):
            # torchvision's kernel for CPUs knows no half precision, and autocast none of its operations
            whole = self._convolve(x.float(), offset.float(), None if mask is None else mask.float())
            return whole.to(x.dtype)
        return deform_conv2d(
            x, offset, self.weight, self.bias, self.stride, self.padding, self.dilation, mask=mask
        )


@MODELS.register_module("DCN")
class DeformConv2dPack(_DeformConvPack):
    """Deformable convolution (Dai et al., "Deformable Convolutional Networks", 2017).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Of the convolution, like the next four.
        stride: See `torch.nn.Conv2d`.
        padding: See `torch.nn.Conv2d`.
        dilation: See `torch.nn.Conv2d`.
        groups: See `torch.nn.Conv2d`.
        deform_groups: Groups of channels with offsets of their own.
        bias: Whether there is a bias.
        deformable_groups: An older name of `deform_groups`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        return self._convolve(x, self.conv_offset(x), None)


@MODELS.register_module("DCNv2")
class ModulatedDeformConv2dPack(_DeformConvPack):
    """Modulated deformable convolution (Zhu et al., "Deformable ConvNets v2", 2019).

    Arguments: those of `DeformConv2dPack`, but `bias` is True by default.
    """

    mask_channels = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = True,
        deformable_groups: int | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            deform_groups,
            bias,
            deformable_groups,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        first, second, mask = self.conv_offset(x).chunk(3, dim=1)
        return self._convolve(x, torch.cat((first, second), dim=1), mask.sigmoid())


class DeformConv2d(nn.Module):
    """A deformable convolution whose offsets are given to it (Dai et al., "Deformable Convolutional
    Networks", 2017).

    Args:
        in_channels: Of the input.
        out_channels: Of the output.
        kernel_size: Of the convolution, like the next three.
        stride: See `torch.nn.Conv2d`.
        padding: See `torch.nn.Conv2d`.
        dilation: See `torch.nn.Conv2d`.
        groups: See `torch.nn.Conv2d`.
        deform_groups: How many groups of input channels have offsets of their own.
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
        deform_groups: int = 1,
    ) -> None:
        super().__init__()
        self.kernel_size: tuple[int, int] = _pair(kernel_size)
        self.stride, self.padding, self.dilation = _pair(stride), _pair(padding), _pair(dilation)
        self.groups, self.deform_groups = groups, deform_groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """(N, in_channels, H, W) and offsets as y, x of each tap, (N, deform_groups·2·taps, H', W')."""
        return deform_conv2d(x, offset, self.weight, None, self.stride, self.padding, self.dilation)
