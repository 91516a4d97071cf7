"""The searched pyramid of NAS-FCOS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.necks.levels import no_init_cfg, used_levels
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, caffe2_xavier_init
from toolkit.model.cnn import ConcatCell, ConvModule

Cfg = dict[str, Any]
_RELU = {"type": "ReLU", "inplace": False}
# Cells by the two maps that each joins, counted over the inputs and the cells before it; and whether the
# second of them is convolved.
_CELLS = {"c22_1": True, "c22_2": True, "c32": False, "c02": False, "c42": True, "c36": True, "c61": True}
_SHARED = 5  # the map that is added to each of the last three


@MODELS.register_module()
class NASFCOS_FPN(BaseModule):
    """The pyramid that architecture search found (Wang et al., "NAS-FCOS", 2019), for maps 1 to 3.

    State-dict keys: ``adapt_convs.i.*``, ``fpn.CELL.*``, ``extra_downsamples.i.*``.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        out_channels: Channels of all outputs.
        num_outs: How many outputs.
        start_level: First input that is used.
        end_level: Last input that is used, itself included; -1 for the last one.
        add_extra_convs: Kept for configs.
        conv_cfg: Config of the cells' input convolutions.
        norm_cfg: Config of their norms.
        init_cfg: None.

    Raises:
        BuildError: The levels don't fit `in_channels` and `num_outs`, or there is an `init_cfg`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 1,
        end_level: int = -1,
        add_extra_convs: bool | str = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        init_cfg: Any = None,
    ) -> None:
        no_init_cfg("NASFCOS_FPN", init_cfg)
        super().__init__()
        end = used_levels("NASFCOS_FPN", len(in_channels), num_outs, start_level, end_level)
        self.start_level, self.backbone_end_level = start_level, end
        self.adapt_convs = nn.ModuleList(
            ConvModule(channels, out_channels, 1, bias=False, norm_cfg={"type": "BN"}, act_cfg=_RELU)
            for channels in in_channels[start_level:end]
        )
        out_conv = {"kernel_size": 1, "padding": 0, "bias": False, "groups": out_channels}
        self.fpn = nn.ModuleDict(
            {
                name: ConcatCell(
                    out_channels,
                    out_channels,
                    out_conv_cfg=out_conv,
                    out_norm_cfg={"type": "BN"},
                    out_conv_order=("norm", "act", "conv"),
                    with_input1_conv=True,
                    with_input2_conv=second,
                    input_conv_cfg=conv_cfg,
                    input_norm_cfg=norm_cfg,
                )
                for name, second in _CELLS.items()
            }
        )
        self.extra_downsamples = nn.ModuleList(
            ConvModule(
                out_channels,
                out_channels,
                3,
                stride=2,
                padding=1,
                act_cfg=_RELU if i else None,
                order=("act", "norm", "conv"),
            )
            for i in range(num_outs - end + start_level)
        )

    def init_weights(self) -> None:
        """Xavier, as Caffe2 does it, for the first and the last convolutions."""
        super().init_weights()
        for part in (*self.adapt_convs.modules(), *self.extra_downsamples.modules()):
            if isinstance(part, nn.Conv2d):
                caffe2_xavier_init(part)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of a backbone's maps: `num_outs` of (N, out_channels, H, W), finest first."""
        used = inputs[self.start_level : self.backbone_end_level]
        feats = [conv(x) for conv, x in zip(self.adapt_convs, used, strict=True)]
        for name, cell in self.fpn.items():
            feats.append(cell(feats[int(name[1])], feats[int(name[2])]))
        outs = []
        for feat, like in zip(feats[:6:-1], inputs[1:4], strict=True):
            shared = _resized(feats[_SHARED], feat)
            outs.append(_resized(feat + shared, like))
        for downsample in self.extra_downsamples:
            outs.append(downsample(outs[-1]))
        return tuple(outs)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
