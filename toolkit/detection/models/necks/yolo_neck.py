"""The neck of YOLOv3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.detection.models.necks.levels import check_inputs
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_BN = {"type": "BN", "requires_grad": True}
_LEAKY = {"type": "LeakyReLU", "negative_slope": 0.1}


class DetectionBlock(BaseModule):
    """Five convolutions, 1x1 and 3x3 in turn, the latter of twice the channels.

    State-dict keys: ``conv1.*`` to ``conv5.*``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _LEAKY,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        wide = 2 * out_channels
        self.conv1 = ConvModule(in_channels, out_channels, 1, **common)
        self.conv2 = ConvModule(out_channels, wide, 3, padding=1, **common)
        self.conv3 = ConvModule(wide, out_channels, 1, **common)
        self.conv4 = ConvModule(out_channels, wide, 3, padding=1, **common)
        self.conv5 = ConvModule(wide, out_channels, 1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self.conv5(self.conv4(self.conv3(self.conv2(self.conv1(x)))))


@MODELS.register_module()
class YOLOV3Neck(BaseModule):
    """Top-down path that joins each map with the enlarged coarser one (Redmon and Farhadi, "YOLOv3", 2018).

    State-dict keys: ``detect1.*``, then ``conv{i}.*`` and ``detect{i + 1}.*``.

    Args:
        num_scales: How many maps.
        in_channels: Channels of the maps, coarsest first.
        out_channels: Channels of the outputs, coarsest first.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The channels are not one number a map.
    """

    def __init__(
        self,
        num_scales: int,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _LEAKY,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if not num_scales == len(in_channels) == len(out_channels):
            raise BuildError(
                f"YOLOV3Neck of {num_scales} scales needs as many in_channels and out_channels; got "
                f"{list(in_channels)} and {list(out_channels)}"
            )
        self.num_scales = num_scales
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.detect1 = DetectionBlock(in_channels[0], out_channels[0], **common)
        for i in range(1, num_scales):
            out = out_channels[i]
            self.add_module(f"conv{i}", ConvModule(out_channels[i - 1], out, 1, **common))
            self.add_module(f"detect{i + 1}", DetectionBlock(in_channels[i] + out, out, **common))

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps of the backbone, finest first, each twice as large as the next; outputs are coarsest first."""
        check_inputs("YOLOV3Neck", self.num_scales, len(feats))
        outs = [self.detect1(feats[-1])]
        for i, x in enumerate(feats[-2::-1], start=1):
            large = F.interpolate(getattr(self, f"conv{i}")(outs[-1]), scale_factor=2)
            outs.append(getattr(self, f"detect{i + 1}")(torch.cat((large, x), dim=1)))
        return tuple(outs)
