"""The template of dense heads that predict at points, without anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from toolkit.detection.models.dense_heads.base_dense_head import BaseDenseHead, Cfg
from toolkit.detection.models.dense_heads.towers import normal_init_cfg, run
from toolkit.detection.models.task_modules import MlvlPointGenerator
from toolkit.detection.models.utils import multi_apply
from toolkit.detection.registry import MODELS, TASK_UTILS
from toolkit.model.cnn import ConvModule

FOCAL_LOSS = {"type": "FocalLoss", "use_sigmoid": True, "gamma": 2.0, "alpha": 0.25, "loss_weight": 1.0}
IOU_LOSS = {"type": "IoULoss", "loss_weight": 1.0}
INIT_CFG = normal_init_cfg("conv_cls")
_PREDICTORS = ("cls", "reg", "centerness")


class AnchorFreeHead(BaseDenseHead):
    """Base of heads with a prior point a place: two towers of convolutions, for classes and for boxes.

    State-dict keys: ``cls_convs.*``, ``reg_convs.*``, ``conv_cls.*``, ``conv_reg.*``. Checkpoints in which a
    predictor has another first part in its name (``fcos_cls``) load.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        feat_channels: Channels inside the head.
        stacked_convs: Convolutions a tower.
        strides: Of each level, in pixels.
        dcn_on_last_conv: The last convolution of each tower is deformable.
        conv_bias: Whether the towers' convolutions have a bias; 'auto': where there is no norm.
        loss_cls: Config of the loss of classes.
        loss_bbox: Config of the loss of boxes.
        bbox_coder: Config of the box coder.
        conv_cfg: Config of the towers' convolutions.
        norm_cfg: Config of the towers' norms.
        train_cfg: Of the head.
        test_cfg: See `BaseDenseHead.predict_by_feat`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 4,
        strides: Sequence[Any] = (4, 8, 16, 32, 64),
        dcn_on_last_conv: bool = False,
        conv_bias: bool | str = "auto",
        loss_cls: Cfg = FOCAL_LOSS,
        loss_bbox: Cfg = IOU_LOSS,
        bbox_coder: Cfg = {"type": "DistancePointBBoxCoder"},  # noqa: B006 - read only
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        init_cfg: Any = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.use_sigmoid_cls = bool(loss_cls.get("use_sigmoid", False))
        self.cls_out_channels = num_classes if self.use_sigmoid_cls else num_classes + 1
        self.in_channels, self.feat_channels = in_channels, feat_channels
        self.stacked_convs, self.strides = stacked_convs, strides
        self.dcn_on_last_conv, self.conv_bias = dcn_on_last_conv, conv_bias
        self.conv_cfg, self.norm_cfg = conv_cfg, norm_cfg
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        self.prior_generator = MlvlPointGenerator(strides)
        self.num_base_priors = self.prior_generator.num_base_priors[0]
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        self._init_layers()

    def _init_layers(self) -> None:
        self.cls_convs = self._tower()
        self.reg_convs = self._tower()
        self._init_predictor()

    def _tower(self) -> nn.ModuleList:
        last = self.stacked_convs - 1
        return nn.ModuleList(
            ConvModule(
                self.feat_channels if i else self.in_channels,
                self.feat_channels,
                3,
                padding=1,
                conv_cfg={"type": "DCNv2"} if self.dcn_on_last_conv and i == last else self.conv_cfg,
                norm_cfg=self.norm_cfg,
                bias=self.conv_bias,
            )
            for i in range(self.stacked_convs)
        )

    def _init_predictor(self) -> None:
        self.conv_cls: nn.Module = nn.Conv2d(self.feat_channels, self.cls_out_channels, 3, padding=1)
        self.conv_reg = nn.Conv2d(self.feat_channels, 4, 3, padding=1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name, dot, rest = key[len(prefix) :].partition(".")
            kind = next((kind for kind in _PREDICTORS if name.endswith(kind)), None)
            if kind and dot and not hasattr(self, name):
                state_dict[f"{prefix}conv_{kind}.{rest}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits (B, C, H, W) and regressions (B, 4, H, W), a list over levels each."""
        return multi_apply(self.forward_single, x)[:2]

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """One level (B, in_channels, H, W): logits, regressions, and what the two towers gave."""
        cls_feat, reg_feat = run(self.cls_convs, x), run(self.reg_convs, x)
        return self.conv_cls(cls_feat), self.conv_reg(reg_feat), cls_feat, reg_feat
