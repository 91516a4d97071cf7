"""Path aggregation network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.models.necks.fpn import FPN
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import ConvModule

Cfg = dict[str, Any]


@MODELS.register_module()
class PAFPN(FPN):
    """An `FPN` with a path from the finest to the coarsest map behind it.

    From "Path Aggregation Network for Instance Segmentation" (Liu et al., 2018). State-dict keys:
    ``downsample_convs.i.conv.*`` and ``pafpn_convs.i.conv.*`` beside those of `FPN`.

    Args:
        in_channels: See `FPN`.
        out_channels: See `FPN`.
        num_outs: See `FPN`.
        start_level: See `FPN`.
        end_level: See `FPN`.
        add_extra_convs: See `FPN`; the last output is that behind the path.
        relu_before_extra_convs: See `FPN`.
        no_norm_on_lateral: See `FPN`.
        conv_cfg: See `FPN`.
        norm_cfg: See `FPN`.
        act_cfg: See `FPN`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int,
        start_level: int = 0,
        end_level: int = -1,
        add_extra_convs: bool | str = False,
        relu_before_extra_convs: bool = False,
        no_norm_on_lateral: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        init_cfg: Any = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            num_outs,
            start_level,
            end_level,
            add_extra_convs,
            relu_before_extra_convs,
            no_norm_on_lateral,
            conv_cfg,
            norm_cfg,
            act_cfg,
            init_cfg=init_cfg,
        )
        self.downsample_convs = nn.ModuleList()
        self.pafpn_convs = nn.ModuleList()
        common: dict[str, Any] = {
            "padding": 1,
            "conv_cfg": conv_cfg,
            "norm_cfg": norm_cfg,
            "act_cfg": act_cfg,
        }
        for _ in range(start_level + 1, self.backbone_end_level):
            self.downsample_convs.append(
                ConvModule(out_channels, out_channels, 3, stride=2, inplace=False, **common)
            )
            self.pafpn_convs.append(ConvModule(out_channels, out_channels, 3, inplace=False, **common))

    def _refined(self, outs: list[Tensor]) -> list[Tensor]:
        """Each map with those of all finer ones in it."""
        x = outs[0]
        refined = [x]
        for out, down, conv in zip(outs[1:], self.downsample_convs, self.pafpn_convs, strict=True):
            x = out + down(x)
            refined.append(conv(x))
        return refined
