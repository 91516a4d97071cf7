"""Feature pyramid network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.necks.levels import used_levels
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_SOURCES = ("on_input", "on_lateral", "on_output")


@MODELS.register_module()
class FPN(BaseModule):
    """Top-down pyramid (Lin et al., "Feature Pyramid Networks for Object Detection", 2016).

    State-dict keys: ``lateral_convs.i.conv.*``, ``fpn_convs.i.conv.*``.

    Args:
        in_channels: Channels of the backbone's maps, finest first.
        out_channels: Channels of all outputs.
        num_outs: How many outputs: the levels from `start_level` to `end_level`, and coarser ones beyond.
        start_level: First input that is used.
        end_level: Last input that is used, itself included; -1 for the last one.
        add_extra_convs: How the coarser outputs are made: False: by taking every other pixel of the last
            output; 'on_input': by strided convolutions from the last input, 'on_lateral': from its lateral,
            'on_output': from the last output. True is 'on_input'.
        relu_before_extra_convs: ReLU before each of those convolutions but the first.
        no_norm_on_lateral: Laterals have no norm.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        upsample_cfg: Arguments of `torch.nn.functional.interpolate`.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The levels don't fit `in_channels` and `num_outs`, or `add_extra_convs` is unknown.
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
        upsample_cfg: Cfg = {"mode": "nearest"},  # noqa: B006 - read only
        init_cfg: Any = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform"},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.out_channels = list(in_channels), out_channels
        self.num_ins, self.num_outs = len(in_channels), num_outs
        self.relu_before_extra_convs = relu_before_extra_convs
        self.upsample_cfg = dict(upsample_cfg)
        self.start_level, self.end_level = start_level, end_level
        self.backbone_end_level = used_levels("FPN", self.num_ins, num_outs, start_level, end_level)
        self.add_extra_convs = self._checked_source(add_extra_convs)

        # Plain lists: their layers are initialised by this module's init_cfg, not by their own.
        self.lateral_convs = nn.ModuleList()
        self.fpn_convs = nn.ModuleList()
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "act_cfg": act_cfg, "inplace": False}
        for channels in self.in_channels[start_level : self.backbone_end_level]:
            lateral_norm = None if no_norm_on_lateral else norm_cfg
            self.lateral_convs.append(ConvModule(channels, out_channels, 1, norm_cfg=lateral_norm, **common))
            self.fpn_convs.append(
                ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg, **common)
            )
        if self.add_extra_convs:
            for i in range(num_outs - self.backbone_end_level + start_level):
                on_input = i == 0 and self.add_extra_convs == "on_input"
                channels = self.in_channels[self.backbone_end_level - 1] if on_input else out_channels
                self.fpn_convs.append(
                    ConvModule(channels, out_channels, 3, stride=2, padding=1, norm_cfg=norm_cfg, **common)
                )

    @staticmethod
    def _checked_source(add_extra_convs: bool | str) -> str | bool:
        if isinstance(add_extra_convs, str) and add_extra_convs not in _SOURCES:
            raise BuildError(
                f"add_extra_convs of FPN must be a bool or one of {_SOURCES}, got {add_extra_convs!r}"
            )
        return "on_input" if add_extra_convs is True else add_extra_convs

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The pyramid of a backbone's maps.

        Args:
            inputs: Map i is (N, in_channels[i], H_i, W_i), finest first.

        Returns:
            `num_outs` maps (N, out_channels, H, W), finest first; each beyond the inputs has half the size.
        """
        if len(inputs) != self.num_ins:
            raise BuildError(
                f"FPN is set up for {self.num_ins} inputs (in_channels), the backbone gives {len(inputs)}"
            )
        used = inputs[self.start_level : self.backbone_end_level]
        laterals = [conv(x) for conv, x in zip(self.lateral_convs, used, strict=True)]
        for i in range(len(laterals) - 1, 0, -1):
            laterals[i - 1] = self._merged(laterals[i - 1] + self._upsample(laterals[i], laterals[i - 1]))
        outs = self._refined([self.fpn_convs[i](lateral) for i, lateral in enumerate(laterals)])
        return tuple(outs + self._extra(inputs, laterals, outs))

    def _merged(self, lateral: Tensor) -> Tensor:
        """What becomes of a lateral when the coarser one has been added; for subclasses."""
        return lateral

    def _refined(self, outs: list[Tensor]) -> list[Tensor]:
        """What becomes of the levels before coarser ones are made of them; for subclasses."""
        return outs

    def _upsample(self, x: Tensor, like: Tensor) -> Tensor:
        if "scale_factor" in self.upsample_cfg:
            return F.interpolate(x, **self.upsample_cfg)
        return F.interpolate(x, size=like.shape[2:], **self.upsample_cfg)

    def _extra(self, inputs: Sequence[Tensor], laterals: list[Tensor], outs: list[Tensor]) -> list[Tensor]:
        """The outputs that are coarser than every input."""
        count = self.num_outs - len(outs)
        extra: list[Tensor] = []
        if not self.add_extra_convs:
            x = outs[-1]
            for _ in range(count):
                x = F.max_pool2d(x, 1, stride=2)
                extra.append(x)
            return extra
        sources = {
            "on_input": inputs[self.backbone_end_level - 1],
            "on_lateral": laterals[-1],
            "on_output": outs[-1],
        }
        x = sources[str(self.add_extra_convs)]
        for i, conv in enumerate(self.fpn_convs[len(outs) :]):
            x = conv(F.relu(x) if i and self.relu_before_extra_convs else x)
            extra.append(x)
        return extra
