"""Recursive feature pyramid of DetectoRS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.necks.fpn import FPN
from toolkit.detection.models.necks.levels import check_inputs, no_init_cfg
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, ModuleList, constant_init, xavier_init
from toolkit.utils import BuildError

Cfg = dict[str, Any]


class ASPP(BaseModule):
    """A map at several dilations, and its mean (Chen et al., "Rethinking Atrous Convolution", 2017).

    State-dict keys: ``aspp.i.*``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of each part.
        dilations: Of the parts; 1 for a 1x1 convolution. The last one, which is 1, takes the mean.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The last dilation is not 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dilations: Sequence[int] = (1, 3, 6, 1),
        init_cfg: Any = {"type": "Kaiming", "layer": "Conv2d"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        if dilations[-1] != 1:
            raise BuildError(f"the last of the dilations of ASPP must be 1, got {tuple(dilations)}")
        self.aspp = nn.ModuleList(
            nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation)
            if dilation > 1
            else nn.Conv2d(in_channels, out_channels, 1)
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, parts·out_channels, H, W)."""
        *convs, last = self.aspp
        mean = last(F.adaptive_avg_pool2d(x, 1)).expand(-1, -1, *x.shape[2:])
        return F.relu(torch.cat((*(conv(x) for conv in convs), mean), dim=1))


@MODELS.register_module()
class RFP(FPN):
    """An `FPN` whose outputs go through backbones again (Qiao et al., "DetectoRS", 2020).

    The backbone gives its input first (`output_img`), then its maps. State-dict keys: those of `FPN`,
    ``rfp_modules.i.*`` of the further backbones, ``rfp_aspp.*`` and ``rfp_weight.*``.

    Args:
        rfp_steps: How often the pyramid is made.
        rfp_backbone: Config of the further backbones, with `rfp_inplanes`.
        aspp_out_channels: Channels of each part of the `ASPP` that leads back to a backbone.
        aspp_dilations: Its dilations.
        init_cfg: None.
        **kwargs: Those of `FPN`.

    Raises:
        BuildError: There is an `init_cfg`, or the arguments of `FPN` don't fit.
    """

    def __init__(
        self,
        rfp_steps: int,
        rfp_backbone: Cfg,
        aspp_out_channels: int,
        aspp_dilations: Sequence[int] = (1, 3, 6, 1),
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        no_init_cfg("RFP", init_cfg)
        super().__init__(init_cfg=None, **kwargs)
        self.rfp_steps = rfp_steps
        self.rfp_modules = ModuleList(MODELS.build(dict(rfp_backbone)) for _ in range(1, rfp_steps))
        self.rfp_aspp = ASPP(self.out_channels, aspp_out_channels, aspp_dilations)
        self.rfp_weight = nn.Conv2d(self.out_channels, 1, 1)

    def init_weights(self) -> None:
        """Initialise the pyramid and the further backbones; the old and the new maps start with equal
        weight."""
        for part in (*self.lateral_convs.modules(), *self.fpn_convs.modules()):
            if isinstance(part, nn.Conv2d):
                xavier_init(part, distribution="uniform")
        backbone: Any
        for backbone in self.rfp_modules:
            backbone.init_weights()
        self.rfp_aspp.init_weights()
        constant_init(self.rfp_weight, 0)
        self._is_init = True

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of the last pass.

        Args:
            inputs: Images (N, 3, H, W), then the maps of the backbone, finest first.

        Returns:
            `num_outs` maps (N, out_channels, H, W), finest first.
        """
        image, *maps = inputs
        check_inputs("RFP (beside the image)", self.num_ins, len(maps))
        levels = super().forward(maps)
        backbone: Any
        for backbone in self.rfp_modules:
            back = [levels[0], *(self.rfp_aspp(level) for level in levels[1:])]
            again = super().forward(backbone.rfp_forward(image, back))
            weights = [torch.sigmoid(self.rfp_weight(level)) for level in again]
            levels = tuple(
                weight * new + (1 - weight) * old
                for weight, new, old in zip(weights, again, levels, strict=True)
            )
        return levels
