"""Convolution, padding, upsampling and plugin layers by their names in configs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.registry import MODELS
from toolkit.utils import BuildError

MODELS.register_module("Conv", module=nn.Conv2d)
MODELS.register_module("deconv", module=nn.ConvTranspose2d)
MODELS.register_module("zero", module=nn.ZeroPad2d)
MODELS.register_module("reflect", module=nn.ReflectionPad2d)
MODELS.register_module("replicate", module=nn.ReplicationPad2d)


def build_conv_layer(cfg: Mapping[str, Any] | None, *args: Any, **kwargs: Any) -> nn.Module:
    """Build a convolution.

    Args:
        cfg: ``type`` and further arguments of the layer; None for a plain `torch.nn.Conv2d`.
        *args: Positional arguments of the layer (in_channels, out_channels, kernel_size, ...).
        **kwargs: Keyword arguments of the layer; those of `cfg` are added.

    Raises:
        BuildError: `cfg` has no ``type`` or an unknown one.
    """
    if cfg is None:
        return nn.Conv2d(*args, **kwargs)
    cfg = dict(cfg)
    layer_type = _class_of(cfg, "conv_cfg")
    return layer_type(*args, **kwargs, **cfg)


def build_padding_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Build a padding layer: ``type`` is 'zero', 'reflect', 'replicate' or a padding layer of torch.

    Args:
        cfg: ``type`` and the layer's arguments.
        *args: Positional arguments of the layer, such as the padding.
        **kwargs: Keyword arguments of the layer.
    """
    cfg = dict(cfg)
    layer_type = _class_of(cfg, "padding cfg")
    return layer_type(*args, **kwargs, **cfg)


@MODELS.register_module("pixel_shuffle")
class PixelShufflePack(nn.Module):
    """A convolution to ``out_channels * scale_factor²`` channels, rearranged to a larger map.

    From "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel CNN" (Shi et al.
    2016).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        scale_factor: How much larger height and width become.
        upsample_kernel: Kernel size of the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, scale_factor: int, upsample_kernel: int) -> None:
        super().__init__()
        self.scale_factor = scale_factor
        self.upsample_conv = nn.Conv2d(
            in_channels, out_channels * scale_factor**2, upsample_kernel, padding=(upsample_kernel - 1) // 2
        )
        nn.init.xavier_uniform_(self.upsample_conv.weight)
        nn.init.zeros_(self.upsample_conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H·scale_factor, W·scale_factor)."""
        return F.pixel_shuffle(self.upsample_conv(x), self.scale_factor)


def build_upsample_layer(cfg: Mapping[str, Any], *args: Any, **kwargs: Any) -> nn.Module:
    """Build an upsampling layer.

    Args:
        cfg: ``type``: 'nearest', 'bilinear', 'deconv', 'pixel_shuffle' or a registered layer;
            ``scale_factor`` for those that are not transposed convolutions; and the layer's arguments.
        *args: Positional arguments of the layer.
        **kwargs: Keyword arguments of the layer.

    Raises:
        BuildError: `cfg` has no ``type`` or an unknown one.
    """
    cfg = dict(cfg)
    if cfg.get("type") in ("nearest", "bilinear"):
        settings = {**kwargs, **cfg}
        settings["mode"] = settings.pop("type")
        return nn.Upsample(*args, **settings)
    layer_type = _class_of(cfg, "upsample cfg")
    if layer_type is nn.Upsample:
        cfg.setdefault("mode", "nearest")
    return layer_type(*args, **kwargs, **cfg)


def build_plugin_layer(
    cfg: Mapping[str, Any], postfix: int | str = "", **kwargs: Any
) -> tuple[str, nn.Module]:
    """Build a plugin layer, which is put between the convolutions of a block.

    Args:
        cfg: ``type`` and the layer's arguments.
        postfix: Appended to the name.
        **kwargs: Further arguments of the layer, such as ``in_channels``.

    Returns:
        The name under which a block keeps it (the layer's ``_abbr_``, or its class name in snake case, and
        the postfix) and the layer.
    """
    cfg = dict(cfg)
    layer_type = _class_of(cfg, "plugin cfg")
    name = getattr(layer_type, "_abbr_", None)
    if name is None:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", layer_type.__name__).lower()
    return f"{name}{postfix}", layer_type(**kwargs, **cfg)


def _class_of(cfg: dict[str, Any], what: str) -> Any:
    """Take ``type`` out of `cfg` and give the class it names."""
    if "type" not in cfg:
        raise BuildError(f"{what} needs a 'type', got {cfg!r}")
    kind = cfg.pop("type")
    if inspect.isclass(kind):
        return kind
    found = MODELS.find(kind)
    if found.value is None:
        raise BuildError(f"{what}: unknown layer {kind!r}")
    return found.value
