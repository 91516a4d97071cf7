"""MobileNetV2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.model.backbones.common import CONV_NORM_INIT, PartlyFrozen, backbone_init, freeze
from toolkit.model.backbones.inverted_residual import InvertedResidual
from toolkit.model.base_module import InitCfg
from toolkit.model.cnn import ConvModule
from toolkit.registry import MODELS
from toolkit.utils import BuildError

Cfg = Mapping[str, Any]
_LAYERS = 8
_LAST_CHANNELS = 1280


def make_divisible(value: float, divisor: int, min_value: int | None = None, min_ratio: float = 0.9) -> int:
    """A number of channels that is a multiple of `divisor`, and not much less than `value`.

    Args:
        value: The number wanted.
        divisor: What the result is a multiple of.
        min_value: Smallest result; `divisor` by default.
        min_ratio: Where rounding down gives less than this share of `value`, it is rounded up.
    """
    found = max(divisor if min_value is None else min_value, int(value + divisor / 2) // divisor * divisor)
    return found + divisor if found < min_ratio * value else found


@MODELS.register_module()
class MobileNetV2(PartlyFrozen):
    """Small network of inverted residuals (Sandler et al., "MobileNetV2", 2018).

    Args:
        widen_factor: Factor of all channels.
        out_indices: Of the layers whose outputs are given: 0 to 6 are the stages, 7 the last convolution.
        frozen_stages: The stem (0) and this many stages don't train; -1: all train.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        norm_eval: Batch norms keep their running statistics while training.
        with_cp: Recompute the blocks in the backward pass to save memory.
        pretrained: A checkpoint; the older spelling of `init_cfg`.
        init_cfg: See `BaseModule`. By default Kaiming for convolutions, 1 for norms.

    Raises:
        BuildError: `out_indices` or `frozen_stages` are out of range.
    """

    # Of each stage: expansion, channels, blocks, stride.
    arch_settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(
        self,
        widen_factor: float = 1.0,
        out_indices: Sequence[int] = (1, 2, 4, 7),
        frozen_stages: int = -1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        act_cfg: Cfg = {"type": "ReLU6"},  # noqa: B006 - read only
        norm_eval: bool = False,
        with_cp: bool = False,
        pretrained: str | None = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(backbone_init(pretrained, init_cfg, CONV_NORM_INIT))
        if not set(out_indices) <= set(range(_LAYERS)):
            raise BuildError(f"out_indices of MobileNetV2 must be from 0 to 7, got {tuple(out_indices)}")
        if frozen_stages not in range(-1, _LAYERS):
            raise BuildError(f"frozen_stages of MobileNetV2 must be from -1 to 7, got {frozen_stages}")
        self.out_indices, self.frozen_stages, self.norm_eval = out_indices, frozen_stages, norm_eval
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        channels = make_divisible(32 * widen_factor, 8)
        self.conv1 = ConvModule(3, channels, 3, stride=2, padding=1, **common)
        self.layers: list[str] = []
        for number, (expansion, width, blocks, stride) in enumerate(self.arch_settings, start=1):
            out = make_divisible(width * widen_factor, 8)
            stage = []
            for block in range(blocks):
                stage.append(
                    InvertedResidual(
                        channels,
                        out,
                        mid_channels=round(channels * expansion),
                        stride=1 if block else stride,
                        with_expand_conv=expansion != 1,
                        with_cp=with_cp,
                        **common,
                    )
                )
                channels = out
            self._add(f"layer{number}", nn.Sequential(*stage))
        self.out_channel = int(_LAST_CHANNELS * max(widen_factor, 1.0))
        self._add("conv2", ConvModule(channels, self.out_channel, 1, **common))
        self._freeze_stages()

    def _add(self, name: str, layer: nn.Module) -> None:
        self.add_module(name, layer)
        self.layers.append(name)

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            freeze([self.conv1, *(getattr(self, name) for name in self.layers[: self.frozen_stages])])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the maps of `out_indices`."""
        x = self.conv1(x)
        outs = []
        for i, name in enumerate(self.layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)
