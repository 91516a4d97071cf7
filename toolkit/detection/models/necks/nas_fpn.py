"""NAS-FPN: a pyramid whose connections were searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.models.necks.levels import used_levels
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, ModuleList
from toolkit.model.cnn import ConvModule, GlobalPoolingCell, SumCell
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_LEVELS = 5


@MODELS.register_module()
class NASFPN(BaseModule):
    """The pyramid that architecture search found (Ghiasi et al., "NAS-FPN", 2019), of five levels.

    State-dict keys: ``lateral_convs.i.*``, ``extra_downsamples.i.0.*``, ``fpn_stages.i.CELL.out_conv.*``.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        out_channels: Channels of all outputs.
        num_outs: 5.
        stack_times: How often the searched part is repeated.
        start_level: First input that is used.
        end_level: Last input that is used, itself included; -1 for the last one.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The levels don't fit `in_channels` and `num_outs`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        stack_times: int,
        start_level: int = 0,
        end_level: int = -1,
        norm_cfg: Cfg | None = None,
        init_cfg: Any = {"type": "Caffe2Xavier", "layer": "Conv2d"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        if num_outs != _LEVELS:
            raise BuildError(f"num_outs of NASFPN must be {_LEVELS}, got {num_outs}")
        end = used_levels("NASFPN", len(in_channels), num_outs, start_level, end_level)
        self.start_level, self.backbone_end_level = start_level, end
        lateral: dict[str, Any] = {"kernel_size": 1, "norm_cfg": norm_cfg, "act_cfg": None}
        self.lateral_convs = nn.ModuleList(
            ConvModule(channels, out_channels, **lateral) for channels in in_channels[start_level:end]
        )
        self.extra_downsamples = nn.ModuleList(
            nn.Sequential(ConvModule(out_channels, out_channels, **lateral), nn.MaxPool2d(2, 2))
            for _ in range(num_outs - end + start_level)
        )
        self.fpn_stages = ModuleList(_stage(out_channels, norm_cfg) for _ in range(stack_times))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of a backbone's maps: five of (N, out_channels, H, W), finest first."""
        used = inputs[self.start_level : self.backbone_end_level]
        feats = [conv(x) for conv, x in zip(self.lateral_convs, used, strict=True)]
        for downsample in self.extra_downsamples:
            feats.append(downsample(feats[-1]))
        p3, p4, p5, p6, p7 = feats
        size3, size4, size5, size6, size7 = (tuple(x.shape[2:]) for x in feats)
        cell: Any
        for cell in self.fpn_stages:
            first = cell["gp_64_4"](p6, p4, out_size=size4)
            second = cell["sum_44_4"](first, p4, out_size=size4)
            p3 = cell["sum_43_3"](second, p3, out_size=size3)
            p4 = cell["sum_34_4"](p3, second, out_size=size4)
            p5 = cell["sum_55_5"](p5, cell["gp_43_5"](p4, p3, out_size=size5), out_size=size5)
            p7 = cell["sum_77_7"](p7, cell["gp_54_7"](p5, second, out_size=size7), out_size=size7)
            p6 = cell["gp_75_6"](p7, p5, out_size=size6)
        return p3, p4, p5, p6, p7


def _stage(channels: int, norm_cfg: Cfg | None) -> nn.ModuleDict:
    """The cells of one pass. A name says how two levels become one; level 6 comes last."""
    own: dict[str, Any] = {"in_channels": channels, "out_channels": channels, "out_norm_cfg": norm_cfg}
    return nn.ModuleDict(
        {
            "gp_64_4": GlobalPoolingCell(**own),
            "sum_44_4": SumCell(**own),
            "sum_43_3": SumCell(**own),
            "sum_34_4": SumCell(**own),
            "gp_43_5": GlobalPoolingCell(with_out_conv=False),
            "sum_55_5": SumCell(**own),
            "gp_54_7": GlobalPoolingCell(with_out_conv=False),
            "sum_77_7": SumCell(**own),
            "gp_75_6": GlobalPoolingCell(**own),
        }
    )
