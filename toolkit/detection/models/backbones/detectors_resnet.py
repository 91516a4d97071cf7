"""The backbones of DetectoRS, which take back what the pyramid has found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model.backbones import Bottleneck, ResLayer, ResNet
from toolkit.model.backbones.common import maybe_recomputed
from toolkit.model.backbones.resnext import GroupedBottleneck
from toolkit.model.cnn import build_conv_layer
from toolkit.utils import ConfigError

Cfg = Mapping[str, Any]


class _Recursive(Bottleneck):
    """What the blocks add to a bottleneck: switchable atrous convolution, and an entry for the pyramid.

    Args:
        inplanes: Channels of the input.
        planes: Channels of the block.
        rfp_inplanes: Channels that come from the pyramid; None for no entry.
        sac: Config of the middle convolution, such as ``dict(type='SAC', use_deform=True)``; None for an
            ordinary one.
        **kwargs: Those of `Bottleneck`.
    """

    def __init__(
        self,
        inplanes: int,
        planes: int,
        rfp_inplanes: int | None = None,
        sac: Cfg | None = None,
        **kwargs: Any,
    ) -> None:
        self.sac, self.rfp_inplanes = sac, rfp_inplanes
        super().__init__(inplanes, planes, **kwargs)
        if rfp_inplanes:
            self.rfp_conv = build_conv_layer(None, rfp_inplanes, planes * self.expansion, 1)
            # What comes back counts for nothing at first.
            own: list[Any] = [] if self.init_cfg is None else [self.init_cfg]
            self.init_cfg = [*own, {"type": "Constant", "val": 0, "override": {"name": "rfp_conv"}}]

    def _spatial_cfg(self) -> Cfg | None:
        own = super()._spatial_cfg()
        return own if self.sac is None else self.sac

    def rfp_forward(self, x: Tensor, rfp_feat: Tensor | None) -> Tensor:
        """As `forward`, with a map of the pyramid added where there is an entry.

        Args:
            x: (N, inplanes, H, W).
            rfp_feat: (N, rfp_inplanes, H/stride, W/stride).
        """
        out = maybe_recomputed(self._with_shortcut, x, self.with_cp)
        if self.rfp_inplanes:
            out = out + self.rfp_conv(rfp_feat)
        return self.relu(out)


class RecursiveBottleneck(_Recursive):
    """The block of `DetectoRS_ResNet`."""


class RecursiveGroupedBottleneck(_Recursive, GroupedBottleneck):
    """The block of `DetectoRS_ResNeXt`."""


@MODELS.register_module()
class DetectoRS_ResNet(ResNet):
    """ResNet of DetectoRS (Qiao et al., "DetectoRS", 2020).

    Args:
        sac: Config of the middle convolutions, for the stages with `stage_with_sac`.
        stage_with_sac: Which stages have them.
        rfp_inplanes: Channels of the maps that come from the pyramid; None for none.
        output_img: Whether the images are given before the maps, as `RFP` needs them.
        pretrained: A checkpoint; the older spelling of `init_cfg`.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``, or None for random weights.
        **kwargs: Those of `ResNet`; `depth` is 50, 101 or 152.

    Raises:
        ConfigError: `init_cfg` is something else.
    """

    arch_settings = {
        50: (RecursiveBottleneck, (3, 4, 6, 3)),
        101: (RecursiveBottleneck, (3, 4, 23, 3)),
        152: (RecursiveBottleneck, (3, 8, 36, 3)),
    }

    def __init__(
        self,
        sac: Cfg | None = None,
        stage_with_sac: Sequence[bool] = (False, False, False, False),
        rfp_inplanes: int | None = None,
        output_img: bool = False,
        pretrained: str | None = None,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        if init_cfg is not None and "checkpoint" not in init_cfg:
            raise ConfigError(
                f"init_cfg of {type(self).__name__} is dict(type='Pretrained', checkpoint=...) or None, "
                f"got {init_cfg!r}"
            )
        self.sac, self.stage_with_sac = sac, stage_with_sac
        self.rfp_inplanes, self.output_img = rfp_inplanes, output_img
        super().__init__(pretrained=pretrained, init_cfg=init_cfg, **kwargs)

    def _stage_kwargs(self, index: int) -> dict[str, Any]:
        own = super()._stage_kwargs(index)
        own["sac"] = self.sac if self.stage_with_sac[index] else None
        if index and self.rfp_inplanes:
            own["changing_kwargs"] = {"rfp_inplanes": self.rfp_inplanes}
        return own

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build a stage; see `ResNet.make_res_layer`. Its shortcut pools only where it strides."""
        kwargs["avg_down"] = kwargs["avg_down"] and kwargs["stride"] != 1
        return ResLayer(**kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """As `ResNet.forward`; with `output_img` the images come first."""
        outs = super().forward(x)
        return (x, *outs) if self.output_img else outs

    def rfp_forward(self, x: Tensor, rfp_feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """As `forward`, with maps of the pyramid.

        Args:
            x: Images, (N, in_channels, H, W).
            rfp_feats: One a stage, (N, rfp_inplanes, H_i, W_i); that of the first is not used.
        """
        x = self._forward_stem(x)
        outs = []
        for i, name in enumerate(self.res_layers):
            for block in getattr(self, name):
                x = block.rfp_forward(x, rfp_feats[i])
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)


@MODELS.register_module()
class DetectoRS_ResNeXt(DetectoRS_ResNet):
    """ResNeXt of DetectoRS.

    Args:
        groups: Groups of the 3x3 convolutions.
        base_width: Channels of a group in the first stage.
        **kwargs: Those of `DetectoRS_ResNet`.
    """

    arch_settings = {
        50: (RecursiveGroupedBottleneck, (3, 4, 6, 3)),
        101: (RecursiveGroupedBottleneck, (3, 4, 23, 3)),
        152: (RecursiveGroupedBottleneck, (3, 8, 36, 3)),
    }

    def __init__(self, groups: int = 1, base_width: int = 4, **kwargs: Any) -> None:
        self.groups, self.base_width = groups, base_width
        super().__init__(**kwargs)

    def make_res_layer(self, **kwargs: Any) -> nn.Module:
        """Build a stage; see `ResNet.make_res_layer`."""
        return super().make_res_layer(
            groups=self.groups, base_width=self.base_width, base_channels=self.base_channels, **kwargs
        )
