"""Cells that merge two maps of different sizes, as searched pyramids use them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.model.cnn.conv_module import ConvModule
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]
_OUT_CONV = {"groups": 1, "kernel_size": 3, "padding": 1, "bias": True}
_MODES = ("nearest", "bilinear")


class BaseMergeCell(nn.Module):
    """Brings two maps to one size, joins them, and convolves the outcome.

    State-dict keys: ``out_conv.*``, ``input1_conv.*``, ``input2_conv.*``, where there are such.

    Args:
        fused_channels: Channels of the joined map.
        out_channels: Channels of the output, and of the inputs where they are convolved.
        with_out_conv: Whether the outcome is convolved.
        out_conv_cfg: Arguments of that convolution.
        out_norm_cfg: Config of its norm.
        out_conv_order: Its order of convolution, norm and activation.
        with_input1_conv: Whether the first map is convolved at first.
        with_input2_conv: Whether the second one is.
        input_conv_cfg: Config of those convolutions.
        input_norm_cfg: Config of their norms.
        upsample_mode: 'nearest' or 'bilinear'.

    Raises:
        BuildError: `upsample_mode` is neither.
    """

    def __init__(
        self,
        fused_channels: int | None = 256,
        out_channels: int | None = 256,
        with_out_conv: bool = True,
        out_conv_cfg: Cfg = _OUT_CONV,
        out_norm_cfg: Cfg | None = None,
        out_conv_order: Sequence[str] = ("act", "conv", "norm"),
        with_input1_conv: bool = False,
        with_input2_conv: bool = False,
        input_conv_cfg: Cfg | None = None,
        input_norm_cfg: Cfg | None = None,
        upsample_mode: str = "nearest",
    ) -> None:
        super().__init__()
        if upsample_mode not in _MODES:
            raise BuildError(f"upsample_mode of a merge cell must be one of {_MODES}, got {upsample_mode!r}")
        self.upsample_mode = upsample_mode
        self.out_conv: nn.Module = nn.Identity()
        if with_out_conv:
            assert fused_channels is not None
            assert out_channels is not None
            self.out_conv = ConvModule(
                fused_channels, out_channels, **out_conv_cfg, norm_cfg=out_norm_cfg, order=out_conv_order
            )

        def input_conv(wanted: bool) -> nn.Module:
            if not wanted:
                return nn.Identity()
            assert out_channels is not None
            return ConvModule(
                out_channels,
                out_channels,
                3,
                padding=1,
                conv_cfg=input_conv_cfg,
                norm_cfg=input_norm_cfg,
                bias=True,
            )

        self.input1_conv, self.input2_conv = input_conv(with_input1_conv), input_conv(with_input2_conv)

    @abstractmethod
    def _join(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Join two maps of one size."""

    def _resized(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if tuple(x.shape[2:]) == size:
            return x
        if tuple(x.shape[2:]) < size:
            return F.interpolate(x, size=size, mode=self.upsample_mode)
        # Zeros on both sides first, where the size is not divided evenly.
        rows, columns = (-have % want for have, want in zip(x.shape[2:], size, strict=True))
        if rows or columns:
            x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        kernel = (x.shape[2] // size[0], x.shape[3] // size[1])
        return F.max_pool2d(x, kernel_size=kernel, stride=kernel)

    def forward(self, x1: Tensor, x2: Tensor, out_size: Sequence[int] | None = None) -> Tensor:
        """Merge.

        Args:
            x1: (N, C, H1, W1).
            x2: (N, C, H2, W2).
            out_size: Height and width of the output; the larger of the two by default.

        Returns:
            (N, out_channels, *out_size).
        """
        size = tuple(out_size) if out_size is not None else max(tuple(x1.shape[2:]), tuple(x2.shape[2:]))
        first = self._resized(self.input1_conv(x1), (size[0], size[1]))
        second = self._resized(self.input2_conv(x2), (size[0], size[1]))
        return self.out_conv(self._join(first, second))


class SumCell(BaseMergeCell):
    """The sum of two maps. Arguments: `in_channels`, `out_channels`, and those of `BaseMergeCell`."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__(in_channels, out_channels, **kwargs)

    def _join(self, x1: Tensor, x2: Tensor) -> Tensor:
        return x1 + x2


class ConcatCell(BaseMergeCell):
    """Two maps one after the other. Arguments: `in_channels` of each, `out_channels`, and those of
    `BaseMergeCell`."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__(in_channels * 2, out_channels, **kwargs)

    def _join(self, x1: Tensor, x2: Tensor) -> Tensor:
        return torch.cat((x1, x2), dim=1)


class GlobalPoolingCell(BaseMergeCell):
    """The second map, plus the first weighted by a summary of the second. Arguments: `in_channels`,
    `out_channels`, and those of `BaseMergeCell`."""

    def __init__(
        self, in_channels: int | None = None, out_channels: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(in_channels, out_channels, **kwargs)

    def _join(self, x1: Tensor, x2: Tensor) -> Tensor:
        return x2 + x2.mean(dim=(2, 3), keepdim=True).sigmoid() * x1
