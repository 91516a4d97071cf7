"""Maps of several channel counts to maps of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]


@MODELS.register_module()
class ChannelMapper(BaseModule):
    """A convolution a level, and further levels by convolutions of stride 2.

    State-dict keys: ``convs.{i}.*`` and ``extra_convs.{i}.*``.

    Args:
        in_channels: Channels of the maps.
        out_channels: Channels of the outputs.
        kernel_size: Of the convolutions a level; those of further levels have 3.
        conv_cfg: See `ConvModule`.
        norm_cfg: See `ConvModule`.
        act_cfg: See `ConvModule`.
        bias: See `ConvModule`.
        num_outs: How many maps it gives; None: as many as it is given.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        kernel_size: int = 3,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = {"type": "ReLU"},  # noqa: B006 - read only
        bias: bool | str = "auto",
        num_outs: int | None = None,
        init_cfg: Any = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"},  # noqa: B006
    ) -> None:
        super().__init__(init_cfg)
        common: Cfg = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg, "bias": bias}
        self.convs = nn.ModuleList(
            ConvModule(channels, out_channels, kernel_size, padding=(kernel_size - 1) // 2, **common)
            for channels in in_channels
        )
        self.extra_convs: nn.ModuleList | None = None
        count = (len(in_channels) if num_outs is None else num_outs) - len(in_channels)
        if count > 0:
            sources = [in_channels[-1]] + [out_channels] * (count - 1)
            self.extra_convs = nn.ModuleList(
                ConvModule(channels, out_channels, 3, stride=2, padding=1, **common) for channels in sources
            )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Maps (B, in_channels[i], H_i, W_i) to maps (B, out_channels, H_i, W_i), and the further ones.

        The first further level is made from the last input, each later one from the one before it.

        Raises:
            BuildError: There are more or fewer inputs than `in_channels`.
        """
        if len(inputs) != len(self.convs):
            raise BuildError(
                f"ChannelMapper is set up for {len(self.convs)} inputs (in_channels), "
                f"the backbone gives {len(inputs)}"
            )
        outs = [conv(x) for conv, x in zip(self.convs, inputs, strict=True)]
        x = inputs[-1]
        for conv in self.extra_convs or ():
            x = conv(x)
            outs.append(x)
        return tuple(outs)
