"""Context modules of the Single Stage Headless face detector."""

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
_BN = {"type": "BN"}


class SSHContextModule(BaseModule):
    """What a 5x5 and a 7x7 neighbourhood say, by chains of 3x3 convolutions.

    Args:
        in_channels: Channels of the input.
        out_channels: Four times the channels of each output.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        width = out_channels // 4
        common: dict[str, Any] = {
            "kernel_size": 3,
            "padding": 1,
            "conv_cfg": conv_cfg,
            "norm_cfg": norm_cfg,
        }
        self.conv5x5_1 = ConvModule(in_channels, width, **common)
        self.conv5x5_2 = ConvModule(width, width, act_cfg=None, **common)
        self.conv7x7_2 = ConvModule(width, width, **common)
        self.conv7x7_3 = ConvModule(width, width, act_cfg=None, **common)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, in_channels, H, W) to two maps (N, out_channels / 4, H, W)."""
        shared = self.conv5x5_1(x)
        return self.conv5x5_2(shared), self.conv7x7_3(self.conv7x7_2(shared))


class SSHDetModule(BaseModule):
    """A map with what surrounds each place.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, a multiple of 4.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: `out_channels` is no multiple of 4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if out_channels % 4:
            raise BuildError(f"out_channels of SSH must be a multiple of 4, got {out_channels}")
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg}
        self.conv3x3 = ConvModule(in_channels, out_channels // 2, 3, padding=1, act_cfg=None, **common)
        self.context_module = SSHContextModule(in_channels, out_channels, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return F.relu(torch.cat((self.conv3x3(x), *self.context_module(x)), dim=1))


@MODELS.register_module()
class SSH(BaseModule):
    """Context for each level (Najibi et al., "SSH: Single Stage Headless Face Detector", 2017).

    State-dict keys: ``ssh_module{i}.*``.

    Args:
        num_scales: How many levels.
        in_channels: Channels of each input.
        out_channels: Channels of each output, multiples of 4.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The channels are not one number a level, or don't fit.
    """

    def __init__(
        self,
        num_scales: int,
        in_channels: Sequence[int],
        out_channels: Sequence[int],
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        init_cfg: Any = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        if not num_scales == len(in_channels) == len(out_channels):
            raise BuildError(
                f"SSH of {num_scales} scales needs as many in_channels and out_channels; got "
                f"{list(in_channels)} and {list(out_channels)}"
            )
        self.num_scales = num_scales
        for i, (into, out) in enumerate(zip(in_channels, out_channels, strict=True)):
            self.add_module(f"ssh_module{i}", SSHDetModule(into, out, conv_cfg, norm_cfg))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map i is (N, in_channels[i], H_i, W_i) in, (N, out_channels[i], H_i, W_i) out."""
        check_inputs("SSH", self.num_scales, len(inputs))
        return tuple(getattr(self, f"ssh_module{i}")(x) for i, x in enumerate(inputs))
