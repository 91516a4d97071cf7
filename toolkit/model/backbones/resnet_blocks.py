"""The residual blocks of ResNet, and a stage of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.model.backbones.common import maybe_recomputed
from toolkit.model.base_module import BaseModule, InitCfg, Sequential
from toolkit.model.cnn import build_conv_layer, build_norm_layer, build_plugin_layer
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]
_PLUGIN_PLACES = ("after_conv1", "after_conv2", "after_conv3")


class ResidualBlock(BaseModule):
    """What the blocks share: norms under their short names, the shortcut, and recomputation.

    Args:
        inplanes: Channels of the input.
        planes: Channels of the block; it gives ``planes * expansion``.
        stride: Of the block.
        dilation: Of its 3x3 convolution (the first, where there are two).
        downsample: The shortcut; None for the identity.
        style: 'pytorch': the 3x3 convolution of a bottleneck strides; 'caffe': its first 1x1 does.
        with_cp: Recompute the block in the backward pass instead of keeping its activations.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        dcn: Config of a deformable convolution for the 3x3 one of a bottleneck.
        plugins: Plugin layers of a bottleneck: dicts with ``cfg`` and ``position``.
        init_cfg: See `BaseModule`.
    """

    expansion = 1
    conv1: nn.Module
    conv2: nn.Module
    norm1_name: str
    norm2_name: str

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Module | None = None,
        style: str = "pytorch",
        with_cp: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        dcn: Cfg | None = None,
        plugins: Sequence[Cfg] | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        if style not in ("pytorch", "caffe"):
            raise BuildError(f"style of a ResNet must be 'pytorch' or 'caffe', got {style!r}")
        self.inplanes, self.planes = inplanes, planes
        self.stride, self.dilation, self.style = stride, dilation, style
        self.with_cp = with_cp
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self.dcn, self.plugins = dcn, plugins
        self._build()
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self._extend()

    def _build(self) -> None:
        raise TypeError(f"{type(self).__name__} must build its layers in _build")

    def _extend(self) -> None:
        """Add what comes behind the shortcut in state dicts."""

    def _body(self, x: Tensor) -> Tensor:
        raise TypeError(f"{type(self).__name__} must compute its residual in _body")

    def _add_conv_norm(self, number: int, conv: nn.Module, channels: int) -> None:
        """Keep a convolution as ``conv<number>`` and a norm after it as, for instance, ``bn<number>``."""
        name, norm = build_norm_layer(self.norm_cfg, channels, postfix=number)
        self.add_module(f"conv{number}", conv)
        self.add_module(name, norm)
        setattr(self, f"norm{number}_name", name)

    @property
    def norm1(self) -> nn.Module:
        """The norm after the first convolution."""
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        """The norm after the second convolution."""
        return getattr(self, self.norm2_name)

    def _with_shortcut(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self._body(x)
        out += identity
        return out

    def forward(self, x: Tensor) -> Tensor:
        """(N, inplanes, H, W) to (N, planes·expansion, H/stride, W/stride)."""
        return self.relu(maybe_recomputed(self._with_shortcut, x, self.with_cp))


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions: the block of ResNet-18 and -34 (He et al. 2015). Arguments: `ResidualBlock`."""

    expansion = 1

    def _build(self) -> None:
        if self.dcn is not None or self.plugins is not None:
            raise BuildError(
                "dcn and plugins are for the bottlenecks of ResNet-50 and deeper, not for BasicBlock"
            )
        first = build_conv_layer(
            self.conv_cfg,
            self.inplanes,
            self.planes,
            3,
            stride=self.stride,
            padding=self.dilation,
            dilation=self.dilation,
            bias=False,
        )
        self._add_conv_norm(1, first, self.planes)
        second = build_conv_layer(self.conv_cfg, self.planes, self.planes, 3, padding=1, bias=False)
        self._add_conv_norm(2, second, self.planes)

    def _body(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm1(self.conv1(x)))
        return self.norm2(self.conv2(out))


class Bottleneck(ResidualBlock):
    """1x1, 3x3 and 1x1 convolutions: the block of ResNet-50 and deeper (He et al. 2015).

    A kind of it may be of another width in the middle (`_width`), have groups there, or something else in
    place of the 3x3 convolution (`_add_middle`).

    Arguments: `ResidualBlock`.
    """

    expansion = 4
    groups = 1
    conv3: nn.Module
    norm3_name: str

    def _width(self) -> int:
        """Channels of the 3x3 convolution."""
        return self.planes

    def _build(self) -> None:
        at_first = self.style == "caffe"
        stride1, stride2 = (self.stride, 1) if at_first else (1, self.stride)
        self.conv1_stride, self.conv2_stride = stride1, stride2
        self.width, out = self._width(), self.planes * self.expansion
        first = build_conv_layer(self.conv_cfg, self.inplanes, self.width, 1, stride=stride1, bias=False)
        self._add_conv_norm(1, first, self.width)
        self._add_middle()
        last = build_conv_layer(self.conv_cfg, self.width, out, 1, bias=False)
        self._add_conv_norm(3, last, out)

    def _extend(self) -> None:
        channels = (self.width, self.width, self.planes * self.expansion)
        self._plugin_names: dict[str, list[str]] = {
            place: self._add_plugins(width, place)
            for place, width in zip(_PLUGIN_PLACES, channels, strict=True)
        }

    def _add_middle(self) -> None:
        """Add what stands between the first and the last convolution."""
        self._add_conv_norm(2, self._spatial_conv(self.width, self.groups), self.width)

    def _spatial_cfg(self) -> Cfg | None:
        """Config of the 3x3 convolution: deformable where `dcn` says so."""
        cfg = dict(self.dcn or {})
        fallback = cfg.pop("fallback_on_stride", False)
        self.with_dcn = self.dcn is not None
        if self.dcn is None or fallback:
            return self.conv_cfg
        if self.conv_cfg is not None:
            raise BuildError("conv_cfg must be None where dcn is set")
        return cfg

    def _spatial_conv(self, channels: int, groups: int = 1) -> nn.Module:
        return build_conv_layer(
            self._spatial_cfg(),
            channels,
            channels,
            3,
            stride=self.conv2_stride,
            padding=self.dilation,
            dilation=self.dilation,
            groups=groups,
            bias=False,
        )

    def _add_plugins(self, channels: int, place: str) -> list[str]:
        names = []
        for plugin in self.plugins or ():
            if plugin["position"] not in _PLUGIN_PLACES:
                raise BuildError(
                    f"position of a plugin must be one of {_PLUGIN_PLACES}, got {plugin['position']!r}"
                )
            if plugin["position"] != place:
                continue
            cfg = dict(plugin["cfg"])
            name, layer = build_plugin_layer(cfg, cfg.pop("postfix", ""), in_channels=channels)
            if hasattr(self, name):
                raise BuildError(f"two plugins of a block are called {name!r}; give them different 'postfix'")
            self.add_module(name, layer)
            names.append(name)
        return names

    @property
    def norm3(self) -> nn.Module:
        """The norm after the third convolution."""
        return getattr(self, self.norm3_name)

    def _plugged(self, x: Tensor, place: str) -> Tensor:
        for name in self._plugin_names[place]:
            x = getattr(self, name)(x)
        return x

    def _middle(self, x: Tensor) -> Tensor:
        """What `_add_middle` added."""
        return self.relu(self.norm2(self.conv2(x)))

    def _body(self, x: Tensor) -> Tensor:
        out = self._plugged(self.relu(self.norm1(self.conv1(x))), "after_conv1")
        out = self._plugged(self._middle(out), "after_conv2")
        return self._plugged(self.norm3(self.conv3(out)), "after_conv3")


class ResLayer(Sequential):
    """A stage: `num_blocks` blocks, one of which strides and changes the number of channels.

    Args:
        block: The class of the blocks.
        inplanes: Channels of the input.
        planes: Channels of the blocks.
        num_blocks: How many.
        stride: Of the stage.
        avg_down: The shortcut strides by average pooling and not by its convolution (He et al., "Bag of
            Tricks", 2018, ResNet-D).
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        downsample_first: Whether the first block strides, or the last.
        changing_kwargs: Further arguments of the block that strides.
        **kwargs: Passed on to each block.
    """

    def __init__(
        self,
        block: type[ResidualBlock],
        inplanes: int,
        planes: int,
        num_blocks: int,
        stride: int = 1,
        avg_down: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        downsample_first: bool = True,
        changing_kwargs: Cfg | None = None,
        **kwargs: Any,
    ) -> None:
        out = planes * block.expansion
        kwargs.update(conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        rest_in = out if downsample_first else inplanes
        if not downsample_first:
            rest_planes = [inplanes // block.expansion] * (num_blocks - 1)
        else:
            rest_planes = [planes] * (num_blocks - 1)
        shortcut = None
        if stride != 1 or inplanes != out:
            shortcut = _shortcut(inplanes, out, stride, avg_down, conv_cfg, norm_cfg)
        own = {**kwargs, **(changing_kwargs or {})}
        changing = block(inplanes, planes, stride=stride, downsample=shortcut, **own)
        rest = [block(rest_in, width, **kwargs) for width in rest_planes]
        super().__init__(*([changing, *rest] if downsample_first else [*rest, changing]))


def _shortcut(
    inplanes: int, out: int, stride: int, avg_down: bool, conv_cfg: Cfg | None, norm_cfg: Cfg
) -> nn.Sequential:
    layers: list[nn.Module] = []
    if avg_down:
        layers.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
        stride = 1
    layers.append(build_conv_layer(conv_cfg, inplanes, out, 1, stride=stride, bias=False))
    layers.append(build_norm_layer(norm_cfg, out)[1])
    return nn.Sequential(*layers)
