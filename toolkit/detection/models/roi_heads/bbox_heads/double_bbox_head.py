"""The box head of Double-Head R-CNN."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.roi_heads.bbox_heads.bbox_head import BBoxHead
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule, ModuleList
from toolkit.model.backbones.resnet_blocks import Bottleneck
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_INIT = {
    "type": "Normal",
    "override": [
        {"type": "Normal", "name": "fc_cls", "std": 0.01},
        {"type": "Normal", "name": "fc_reg", "std": 0.001},
        {"type": "Xavier", "name": "fc_branch", "distribution": "uniform"},
    ],
}


class BasicResBlock(BaseModule):
    """A 3x3 and a 1x1 convolution, with a 1x1 convolution as the shortcut.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        norm: Cfg = {"type": "BN"}
        self.conv1 = ConvModule(in_channels, in_channels, 3, padding=1, bias=False, norm_cfg=norm)
        self.conv2 = ConvModule(in_channels, out_channels, 1, bias=False, norm_cfg=norm, act_cfg=None)
        self.conv_identity = ConvModule(in_channels, out_channels, 1, norm_cfg=norm, act_cfg=None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        return F.relu(self.conv2(self.conv1(x)) + self.conv_identity(x))


@MODELS.register_module()
class DoubleConvFCBBoxHead(BBoxHead):
    """Classifies by linear layers and regresses by convolutions (Wu et al., "Rethinking Classification and
    Localization for Object Detection", 2019).

    State-dict keys: ``fc_cls.*``, ``fc_reg.*``, ``res_block.*``, ``conv_branch.i.*``, ``fc_branch.i.*``.

    Args:
        num_convs: Bottlenecks of the boxes' branch.
        num_fcs: Linear layers of the classes' branch.
        conv_out_channels: Channels of the boxes' branch.
        fc_out_channels: Features of the classes' branch.
        conv_cfg: Config of the bottlenecks' convolutions.
        norm_cfg: Config of their norms.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `BBoxHead`; `with_avg_pool` is True.

    Raises:
        BuildError: A branch has no layers, or there is no pooling.
    """

    def __init__(
        self,
        num_convs: int = 0,
        num_fcs: int = 0,
        conv_out_channels: int = 1024,
        fc_out_channels: int = 1024,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg = {"type": "BN"},  # noqa: B006 - read only
        init_cfg: Any = _INIT,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("with_avg_pool", True)
        if not kwargs["with_avg_pool"] or num_convs < 1 or num_fcs < 1:
            raise BuildError(
                "DoubleConvFCBBoxHead needs with_avg_pool=True and at least one of num_convs and of num_fcs; "
                f"got {kwargs['with_avg_pool']}, {num_convs} and {num_fcs}"
            )
        self.num_convs, self.num_fcs = num_convs, num_fcs
        self.conv_out_channels, self.fc_out_channels = conv_out_channels, fc_out_channels
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        super().__init__(init_cfg=init_cfg, **kwargs)

    def _add_layers(self) -> None:
        self._add_predictors(self.fc_out_channels, self.conv_out_channels)
        self.res_block = BasicResBlock(self.in_channels, self.conv_out_channels)
        self.conv_branch = ModuleList(
            Bottleneck(
                self.conv_out_channels,
                self.conv_out_channels // 4,
                conv_cfg=self.conv_cfg,
                norm_cfg=self.norm_cfg,
            )
            for _ in range(self.num_convs)
        )
        sizes = [self.in_channels * self.roi_feat_area] + [self.fc_out_channels] * (self.num_fcs - 1)
        self.fc_branch = ModuleList(nn.Linear(size, self.fc_out_channels) for size in sizes)

    def forward(self, x_cls: Tensor, x_reg: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Logits (R, C + 1) of features (R, in_channels, h, w), and regressions (R, C·4) of others."""
        x_conv = self.res_block(x_reg)
        for block in self.conv_branch:
            x_conv = block(x_conv)
        x_fc = x_cls.flatten(1)
        for fc in self.fc_branch:
            x_fc = F.relu(fc(x_fc))
        return self.fc_cls(x_fc), self.fc_reg(self.avg_pool(x_conv).flatten(1))
