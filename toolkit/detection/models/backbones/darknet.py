"""Darknet-53, the backbone of YOLOv3."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.backbones.common import CONV_NORM_INIT, PartlyFrozen, backbone_init, freeze
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_BN = {"type": "BN", "requires_grad": True}
_LEAKY = {"type": "LeakyReLU", "negative_slope": 0.1}


class DarknetBlock(BaseModule):
    """1x1 convolution to half the channels, 3x3 back, and a shortcut.

    Args:
        in_channels: Channels of the input and the output, even.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        in_channels: int,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _LEAKY,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        self.conv1 = ConvModule(in_channels, in_channels // 2, 1, **common)
        self.conv2 = ConvModule(in_channels // 2, in_channels, 3, padding=1, **common)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in, the same shape out."""
        return x + self.conv2(self.conv1(x))


@MODELS.register_module()
class Darknet(PartlyFrozen):
    """Residual network of YOLOv3 (Redmon and Farhadi, "YOLOv3: An Incremental Improvement", 2018).

    State-dict keys: ``conv1.*``, ``conv_res_block{i}.conv.*``, ``conv_res_block{i}.res{j}.*``.

    Args:
        depth: 53.
        out_indices: Of the outputs, from 0, the first convolution, to 5.
        frozen_stages: So many of them don't train; -1: all train.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        norm_eval: Batch norms keep their running statistics while training.
        pretrained: A checkpoint; the older spelling of `init_cfg`.
        init_cfg: See `BaseModule`. By default Kaiming for convolutions, 1 for norms.

    Raises:
        BuildError: The depth is another.
    """

    # Blocks of each stage, and its channels.
    arch_settings = {53: ((1, 64), (2, 128), (8, 256), (8, 512), (4, 1024))}

    def __init__(
        self,
        depth: int = 53,
        out_indices: Sequence[int] = (3, 4, 5),
        frozen_stages: int = -1,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = _BN,
        act_cfg: Cfg = _LEAKY,
        norm_eval: bool = True,
        pretrained: str | None = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(backbone_init(pretrained, init_cfg, CONV_NORM_INIT))
        if depth not in self.arch_settings:
            raise BuildError(f"depth of Darknet must be one of {sorted(self.arch_settings)}, got {depth!r}")
        self.out_indices, self.frozen_stages, self.norm_eval = out_indices, frozen_stages, norm_eval
        common: dict[str, Any] = {"conv_cfg": conv_cfg, "norm_cfg": norm_cfg, "act_cfg": act_cfg}
        channels = 32
        self.conv1 = ConvModule(3, channels, 3, padding=1, **common)
        self.cr_blocks = ["conv1"]
        for number, (count, width) in enumerate(self.arch_settings[depth], start=1):
            layers: OrderedDict[str, nn.Module] = OrderedDict()
            layers["conv"] = ConvModule(channels, width, 3, stride=2, padding=1, **common)
            for index in range(count):
                layers[f"res{index}"] = DarknetBlock(width, **common)
            self.add_module(f"conv_res_block{number}", nn.Sequential(layers))
            self.cr_blocks.append(f"conv_res_block{number}")
            channels = width
        self._freeze_stages()

    def _freeze_stages(self) -> None:
        freeze(getattr(self, name) for name in self.cr_blocks[: max(self.frozen_stages, 0)])

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) to the maps of `out_indices`; map i is (N, 32·2^i, H/2^i, W/2^i)."""
        outs = []
        for i, name in enumerate(self.cr_blocks):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)
