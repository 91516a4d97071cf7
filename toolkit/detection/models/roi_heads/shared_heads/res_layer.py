"""The last stage of a ResNet, run on each region."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.model.backbones.resnet import ResNet
from toolkit.model.backbones.resnet_blocks import ResLayer as Stage
from toolkit.utils import BuildError

Cfg = dict[str, Any]


@MODELS.register_module()
class ResLayer(BaseModule):
    """A stage of a ResNet as the shared head of a RoI head, as in models on a backbone's fourth stage ("C4").

    State-dict keys: ``layer<stage + 1>.*``.

    Args:
        depth: Of the ResNet.
        stage: Which stage, from 0.
        stride: Of its first block.
        dilation: Of its 3x3 convolutions.
        style: See `ResNet`.
        norm_cfg: Config of norms.
        norm_eval: Keep the statistics of batch norm while training.
        with_cp: Trade time for memory.
        dcn: Config of deformable convolutions.
        pretrained: The older way to name a checkpoint.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: The depth is unknown, or both of `pretrained` and `init_cfg` are given.
    """

    def __init__(
        self,
        depth: int,
        stage: int = 3,
        stride: int = 2,
        dilation: int = 1,
        style: str = "pytorch",
        norm_cfg: Cfg = {"type": "BN", "requires_grad": True},  # noqa: B006 - read only
        norm_eval: bool = True,
        with_cp: bool = False,
        dcn: Cfg | None = None,
        pretrained: str | None = None,
        init_cfg: Any = None,
    ) -> None:
        if pretrained is not None and init_cfg is not None:
            raise BuildError("ResLayer got both pretrained and init_cfg; use init_cfg")
        if depth not in ResNet.arch_settings:
            raise BuildError(
                f"depth of ResLayer must be one of {sorted(ResNet.arch_settings)}, got {depth!r}"
            )
        if pretrained is not None:
            init_cfg = {"type": "Pretrained", "checkpoint": pretrained}
        elif init_cfg is None:
            init_cfg = [
                {"type": "Kaiming", "layer": "Conv2d"},
                {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
            ]
        super().__init__(init_cfg)
        self.norm_eval, self.norm_cfg, self.stage = norm_eval, norm_cfg, stage
        block, blocks = ResNet.arch_settings[depth]
        layer = Stage(
            block,
            64 * 2 ** (stage - 1) * block.expansion,
            64 * 2**stage,
            blocks[stage],
            stride=stride,
            dilation=dilation,
            style=style,
            with_cp=with_cp,
            norm_cfg=norm_cfg,
            dcn=dcn,
        )
        self.add_module(f"layer{stage + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        """Features (R, C, h, w) to those behind the stage."""
        return getattr(self, f"layer{self.stage + 1}")(x)

    def train(self, mode: bool = True) -> ResLayer:
        """Set training mode; with `norm_eval` batch norms stay as they are."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self
