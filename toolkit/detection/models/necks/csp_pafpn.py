"""Path aggregation necks of cross stage partial layers, of YOLOX and RTMDet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.layers.csp_layer import ACT_CFG, INIT_CFG, NORM_CFG, CSPLayer, conv_type
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]
_UPSAMPLE = {"scale_factor": 2, "mode": "nearest"}


@MODELS.register_module()
class YOLOXPAFPN(BaseModule):
    """The neck of YOLOX: from coarse to fine and back (Liu et al., "Path Aggregation Network", 2018).

    State-dict keys: ``reduce_layers.i.*``, ``top_down_blocks.i.*``, ``downsamples.i.*``,
    ``bottom_up_blocks.i.*`` and ``out_convs.i.*``.

    Args:
        in_channels: Channels of each input.
        out_channels: Channels of every output.
        num_csp_blocks: Blocks in each `CSPLayer`.
        use_depthwise: Blocks and strided convolutions are depthwise separable.
        upsample_cfg: Arguments of `torch.nn.Upsample`.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        upsample_cfg: Cfg = _UPSAMPLE,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
        init_cfg: Any = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = in_channels, out_channels
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        conv = conv_type(use_depthwise)

        def csp_layer(inside: int, outside: int) -> nn.Module:
            return CSPLayer(
                inside,
                outside,
                num_blocks=num_csp_blocks,
                add_identity=False,
                use_depthwise=use_depthwise,
                **self._csp_cfg(),
                **common,
            )

        pairs = list(pairwise(in_channels))
        self.upsample = nn.Upsample(**upsample_cfg)
        self.reduce_layers = nn.ModuleList(
            ConvModule(coarse, fine, 1, **common) for fine, coarse in reversed(pairs)
        )
        self.top_down_blocks = nn.ModuleList(csp_layer(2 * fine, fine) for fine, _ in reversed(pairs))
        self.downsamples = nn.ModuleList(
            conv(fine, fine, 3, stride=2, padding=1, **common) for fine, _ in pairs
        )
        self.bottom_up_blocks = nn.ModuleList(csp_layer(2 * fine, coarse) for fine, coarse in pairs)
        self.out_convs = nn.ModuleList(self._out_conv(channels, conv, common) for channels in in_channels)

    def _csp_cfg(self) -> dict[str, Any]:
        """What is particular about the `CSPLayer`."""
        return {}

    def _out_conv(self, channels: int, conv: type[nn.Module], common: dict[str, Any]) -> nn.Module:
        return ConvModule(channels, self.out_channels, 1, **common)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (N, in_channels[i], H_i, W_i), each half of the one before, to (N, out_channels, ...).

        Raises:
            BuildError: There are more or fewer inputs than `in_channels`.
        """
        if len(inputs) != len(self.in_channels):
            raise BuildError(
                f"{type(self).__name__} is set up for {len(self.in_channels)} inputs (in_channels), "
                f"the backbone gives {len(inputs)}"
            )
        x, laterals = inputs[-1], []
        for fine, reduce, block in zip(
            reversed(inputs[:-1]), self.reduce_layers, self.top_down_blocks, strict=True
        ):
            x = reduce(x)
            laterals.append(x)
            x = block(torch.cat((self.upsample(x), fine), dim=1))
        outs = [x]
        for lateral, down, block in zip(
            reversed(laterals), self.downsamples, self.bottom_up_blocks, strict=True
        ):
            outs.append(block(torch.cat((down(outs[-1]), lateral), dim=1)))
        return tuple(conv(out) for conv, out in zip(self.out_convs, outs, strict=True))


@MODELS.register_module()
class CSPNeXtPAFPN(YOLOXPAFPN):
    """The neck of RTMDet (Lyu et al., "RTMDet", 2022): that of YOLOX with `CSPNeXtBlock`.

    Args:
        in_channels: See `YOLOXPAFPN`, as for the arguments not named here.
        out_channels: Channels of every output.
        num_csp_blocks: Blocks in each `CSPLayer`.
        use_depthwise: All 3x3 convolutions are depthwise separable.
        expand_ratio: See `CSPLayer`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_csp_blocks: int = 3,
        use_depthwise: bool = False,
        expand_ratio: float = 0.5,
        upsample_cfg: Cfg = _UPSAMPLE,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
        init_cfg: Any = INIT_CFG,
    ) -> None:
        self.expand_ratio = expand_ratio
        super().__init__(
            in_channels,
            out_channels,
            num_csp_blocks,
            use_depthwise,
            upsample_cfg,
            conv_cfg,
            norm_cfg,
            act_cfg,
            init_cfg,
        )

    def _csp_cfg(self) -> dict[str, Any]:
        return {"use_cspnext_block": True, "expand_ratio": self.expand_ratio}

    def _out_conv(self, channels: int, conv: type[nn.Module], common: dict[str, Any]) -> nn.Module:
        return conv(channels, self.out_channels, 3, padding=1, **common)
