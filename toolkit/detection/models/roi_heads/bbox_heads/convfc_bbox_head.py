"""Box heads with convolutions and linear layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from toolkit.detection.models.roi_heads.bbox_heads.bbox_head import BBoxHead
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

Cfg = dict[str, Any]


@MODELS.register_module()
class ConvFCBBoxHead(BBoxHead):
    """Layers that both branches share, then layers of each branch; in both, convolutions come before linear
    layers.

    State-dict keys: ``{shared,cls,reg}_{convs,fcs}.i.*`` beside those of `BBoxHead`.

    Args:
        num_shared_convs: Convolutions that both share.
        num_shared_fcs: Linear layers that both share. They can't be followed by convolutions.
        num_cls_convs: Convolutions of the classes' branch.
        num_cls_fcs: Linear layers of the classes' branch.
        num_reg_convs: Convolutions of the boxes' branch.
        num_reg_fcs: Linear layers of the boxes' branch.
        conv_out_channels: Channels of all convolutions.
        fc_out_channels: Features of all linear layers.
        conv_cfg: Config of the convolutions.
        norm_cfg: Config of their norms.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `BBoxHead`.
    """

    shared_convs: nn.ModuleList
    shared_fcs: nn.ModuleList
    cls_convs: nn.ModuleList
    cls_fcs: nn.ModuleList
    reg_convs: nn.ModuleList
    reg_fcs: nn.ModuleList
    init_cfg: Any

    def __init__(
        self,
        num_shared_convs: int = 0,
        num_shared_fcs: int = 0,
        num_cls_convs: int = 0,
        num_cls_fcs: int = 0,
        num_reg_convs: int = 0,
        num_reg_fcs: int = 0,
        conv_out_channels: int = 256,
        fc_out_channels: int = 1024,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        if num_shared_fcs and (num_cls_convs or num_reg_convs):
            raise BuildError(
                "a convolution can't follow a linear layer: with num_shared_fcs there are no cls/reg convs"
            )
        self._depths = {
            "shared": (num_shared_convs, num_shared_fcs),
            "cls": (num_cls_convs, num_cls_fcs),
            "reg": (num_reg_convs, num_reg_fcs),
        }
        self.conv_out_channels, self.fc_out_channels = conv_out_channels, fc_out_channels
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        super().__init__(init_cfg=init_cfg, **kwargs)
        if init_cfg is None:
            branches = [{"name": f"{name}_fcs"} for name in self._depths]
            self.init_cfg = [
                *self.init_cfg,
                {"type": "Xavier", "distribution": "uniform", "override": branches},
            ]

    def _add_layers(self) -> None:
        flat = self._depths["shared"][1] > 0
        shared = self._branch("shared", self.in_channels, flat=False)
        branches = {"shared": shared}
        features = {}
        for name in ("cls", "reg"):
            branches[name] = branch = self._branch(name, shared[2], flat)
            pooled = flat or self.with_avg_pool or self._depths[name][1] > 0
            features[name] = branch[2] * (1 if pooled else self.roi_feat_area)
        # In the order of MMDetection, so that the states of its optimizers fit.
        self._add_predictors(features["cls"], features["reg"])
        for name, (convs, fcs, _) in branches.items():
            self.add_module(f"{name}_convs", convs)
            self.add_module(f"{name}_fcs", fcs)
        self.relu = nn.ReLU(inplace=True)

    def _branch(self, name: str, channels: int, flat: bool) -> tuple[nn.ModuleList, nn.ModuleList, int]:
        """Convolutions, linear layers, and how many features they give; `flat`: the input has no map."""
        num_convs, num_fcs = self._depths[name]
        # Plain lists: their layers are initialised by this module's init_cfg, not by their own.
        convs, fcs = nn.ModuleList(), nn.ModuleList()
        for _ in range(num_convs):
            convs.append(
                ConvModule(
                    channels,
                    self.conv_out_channels,
                    3,
                    padding=1,
                    conv_cfg=self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                )
            )
            channels = self.conv_out_channels
        if num_fcs and not flat and not self.with_avg_pool:
            channels *= self.roi_feat_area
        for _ in range(num_fcs):
            fcs.append(nn.Linear(channels, self.fc_out_channels))
            channels = self.fc_out_channels
        return convs, fcs, channels

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Logits (R, C + 1) and regressions (R, C·4) of features (R, in_channels, h, w)."""
        x = self._through(x, self.shared_convs, self.shared_fcs)
        x_cls = self._flat(self._through(x, self.cls_convs, self.cls_fcs))
        x_reg = self._flat(self._through(x, self.reg_convs, self.reg_fcs))
        return self.fc_cls(x_cls) if self.with_cls else None, self.fc_reg(x_reg) if self.with_reg else None

    def _through(self, x: Tensor, convs: nn.ModuleList, fcs: nn.ModuleList) -> Tensor:
        for conv in convs:
            x = conv(x)
        if len(fcs):
            x = self._flat(x)
        for fc in fcs:
            x = self.relu(fc(x))
        return x

    def _flat(self, x: Tensor) -> Tensor:
        if x.dim() > 2 and self.with_avg_pool:
            x = self.avg_pool(x)
        return x.flatten(1)


@MODELS.register_module()
class Shared2FCBBoxHead(ConvFCBBoxHead):
    """Two linear layers that both branches share: the head of Faster R-CNN with FPN.

    Args:
        fc_out_channels: Features of the linear layers.
        **kwargs: Those of `BBoxHead`, `conv_cfg` and `norm_cfg`.
    """

    def __init__(self, fc_out_channels: int = 1024, **kwargs: Any) -> None:
        super().__init__(num_shared_fcs=2, fc_out_channels=fc_out_channels, **kwargs)


@MODELS.register_module()
class Shared4Conv1FCBBoxHead(ConvFCBBoxHead):
    """Four convolutions and a linear layer that both branches share (Wu and He, "Group Normalization", 2018).

    Args:
        fc_out_channels: Features of the linear layer.
        **kwargs: Those of `BBoxHead`, `conv_out_channels`, `conv_cfg` and `norm_cfg`.
    """

    def __init__(self, fc_out_channels: int = 1024, **kwargs: Any) -> None:
        super().__init__(num_shared_convs=4, num_shared_fcs=1, fc_out_channels=fc_out_channels, **kwargs)
