"""Maps as sequences of patches, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.model.cnn.adaptive_padding import AdaptivePadding
from toolkit.model.cnn.layers import build_conv_layer
from toolkit.model.cnn.norms import build_norm_layer

Cfg = Mapping[str, Any]
Size = int | tuple[int, int]


def nlc_to_nchw(x: Tensor, hw_shape: Sequence[int]) -> Tensor:
    """A sequence as a map: (N, H·W, C) and (H, W) to (N, C, H, W)."""
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *hw_shape).contiguous()


def nchw_to_nlc(x: Tensor) -> Tensor:
    """A map as a sequence: (N, C, H, W) to (N, H·W, C)."""
    return x.flatten(2).transpose(1, 2).contiguous()


class _Patches(BaseModule):
    """What taking patches has in common: sizes, and padding that adapts to the input."""

    def _set_sizes(
        self, kernel_size: Size, stride: Size | None, padding: Size | str, dilation: Size
    ) -> dict[str, tuple[int, int]]:
        sizes: dict[str, tuple[int, int]] = {
            "kernel_size": _pair(kernel_size),
            "stride": _pair(kernel_size if stride is None else stride),
            "dilation": _pair(dilation),
        }
        self.adap_padding: AdaptivePadding | None = None
        if isinstance(padding, str):
            self.adap_padding = AdaptivePadding(**sizes, padding=padding)
            padding = 0
        sizes["padding"] = _pair(padding)
        self._sizes = sizes
        return sizes

    def out_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many patches there are in each direction of a map of (height, width)."""
        added = (0, 0) if self.adap_padding is None else self.adap_padding.get_pad_shape(size)
        counts = [
            (length + more + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
            for length, more, pad, dilation, kernel, stride in zip(
                size,
                added,
                self._sizes["padding"],
                self._sizes["dilation"],
                self._sizes["kernel_size"],
                self._sizes["stride"],
                strict=True,
            )
        ]
        return counts[0], counts[1]

    def _padded(self, x: Tensor) -> Tensor:
        return x if self.adap_padding is None else self.adap_padding(x)


class PatchEmbed(_Patches):
    """A convolution that makes a sequence of patches of an image.

    State-dict keys: ``projection.*``, ``norm.*``.

    Args:
        in_channels: Channels of the image.
        embed_dims: Channels of the sequence.
        conv_type: The convolution's type.
        kernel_size: Side of a patch.
        stride: Distance of patches; None: `kernel_size`.
        padding: Zeros on each side, or 'corner' or 'same' for as many as cover the image.
        dilation: Of the convolution.
        bias: Whether the convolution has a bias.
        norm_cfg: Config of the norm; None for none.
        input_size: Size of the images, for `init_out_size`; None where it varies.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int = 3,
        embed_dims: int = 768,
        conv_type: str = "Conv2d",
        kernel_size: Size = 16,
        stride: Size | None = 16,
        padding: Size | str = "corner",
        dilation: Size = 1,
        bias: bool = True,
        norm_cfg: Cfg | None = None,
        input_size: Size | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.embed_dims = embed_dims
        sizes = self._set_sizes(kernel_size, stride, padding, dilation)
        self.projection = build_conv_layer(
            {"type": conv_type}, in_channels=in_channels, out_channels=embed_dims, bias=bias, **sizes
        )
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]
        self.init_input_size: tuple[int, int] | None = _pair(input_size) if input_size else None
        self.init_out_size = self.out_size(self.init_input_size) if self.init_input_size else None

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Images (N, in_channels, H, W) to (N, h·w, embed_dims) and (h, w)."""
        x = self.projection(self._padded(x))
        size = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        return (x if self.norm is None else self.norm(x)), size


class PatchMerging(_Patches):
    """Merges neighbouring patches into one of more channels.

    State-dict keys: ``norm.*``, ``reduction.weight``. The channels of the merged patches are in the order of
    `torch.nn.Unfold`: all places of the first channel, then those of the second.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: How many patches become one, in each direction.
        stride: Distance of the merged ones; None or 0: `kernel_size`.
        padding: See `PatchEmbed`.
        dilation: Distance of the patches that are merged.
        bias: Whether the linear layer has a bias.
        norm_cfg: Config of the norm before it; None for none.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 2,
        stride: Size | None = None,
        padding: Size | str = "corner",
        dilation: Size = 1,
        bias: bool = False,
        norm_cfg: Cfg | None = {"type": "LN"},  # noqa: B006 - read only
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        sizes = self._set_sizes(kernel_size, stride or None, padding, dilation)
        self.sampler = nn.Unfold(**sizes)
        rows, columns = sizes["kernel_size"]
        merged = rows * columns * in_channels
        self.norm = None if norm_cfg is None else build_norm_layer(norm_cfg, merged)[1]
        self.reduction = nn.Linear(merged, out_channels, bias=bias)

    def forward(self, x: Tensor, input_size: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        """(N, H·W, in_channels) and (H, W) to (N, h·w, out_channels) and (h, w)."""
        size = self.out_size(input_size)
        x = self.sampler(self._padded(nlc_to_nchw(x, input_size))).transpose(1, 2)
        if self.norm is not None:
            x = self.norm(x)
        return self.reduction(x), size
