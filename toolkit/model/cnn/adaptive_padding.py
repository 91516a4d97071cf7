"""Padding that depends on the size of the input, so that strides cover all of it."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.utils import _pair

from toolkit.registry import MODELS
from toolkit.utils import BuildError

Size = int | tuple[int, int]
_MODES = ("same", "corner")


class AdaptivePadding(nn.Module):
    """Zeros around a map, so that an operation gives ``ceil(size / stride)`` places.

    Args:
        kernel_size: Of the operation, like the next two.
        stride: Of the operation.
        dilation: Of the operation.
        padding: 'corner': zeros to the right and at the bottom; 'same': on all sides, as TensorFlow does.

    Raises:
        BuildError: `padding` is neither.
    """

    def __init__(
        self, kernel_size: Size = 1, stride: Size = 1, dilation: Size = 1, padding: str = "corner"
    ) -> None:
        super().__init__()
        if padding not in _MODES:
            raise BuildError(f"padding must be one of {_MODES}, got {padding!r}")
        self.padding = padding
        self.kernel_size: tuple[int, int] = _pair(kernel_size)
        self.stride: tuple[int, int] = _pair(stride)
        self.dilation: tuple[int, int] = _pair(dilation)

    def get_pad_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many rows and columns of zeros a map of (height, width) gets."""
        pads = [
            max((math.ceil(length / stride) - 1) * stride + (kernel - 1) * dilation + 1 - length, 0)
            for length, kernel, stride, dilation in zip(
                size, self.kernel_size, self.stride, self.dilation, strict=True
            )
        ]
        return pads[0], pads[1]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H + rows, W + columns)."""
        rows, columns = self.get_pad_shape((x.shape[2], x.shape[3]))
        if not rows and not columns:
            return x
        if self.padding == "corner":
            return F.pad(x, (0, columns, 0, rows))
        return F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))


@MODELS.register_module()
class Conv2dAdaptivePadding(nn.Conv2d):
    """Convolution padded as TensorFlow's 'SAME' does, whatever `padding` says.

    Arguments: those of `torch.nn.Conv2d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias)
        # Not a child: state dicts and initialisers see a plain convolution.
        self._pad = (AdaptivePadding(self.kernel_size, self.stride, self.dilation, "same"),)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        return super().forward(self._pad[0](x))
