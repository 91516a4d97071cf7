"""The head of SSD."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.dense_heads.anchor_head import AnchorHead, Cfg
from toolkit.detection.models.dense_heads.anchor_targets import AnchorTargets
from toolkit.detection.models.dense_heads.base_dense_head import flat_levels, map_sizes
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import ConvModule, DepthwiseSeparableConvModule
from toolkit.structures import InstanceData

_ANCHORS = {
    "type": "SSDAnchorGenerator",
    "scale_major": False,
    "input_size": 300,
    "strides": [8, 16, 32, 64, 100, 300],
    "ratios": ([2], [2, 3], [2, 3], [2, 3], [2], [2]),
    "basesize_ratio_range": (0.1, 0.9),
}
_CODER = {
    "type": "DeltaXYWHBBoxCoder",
    "clip_border": True,
    "target_means": [0.0, 0.0, 0.0, 0.0],
    "target_stds": [1.0, 1.0, 1.0, 1.0],
}


@MODELS.register_module()
class SSDHead(AnchorHead):
    """Two convolutions a level, and a softmax with mined background (Liu et al., "SSD", 2015).

    State-dict keys: ``cls_convs.level.i.*``, ``reg_convs.level.i.*``; checkpoints without the i load.

    Args:
        num_classes: Without background.
        in_channels: Channels of each feature map.
        stacked_convs: Convolutions a level before the one that predicts.
        feat_channels: Their channels.
        use_depthwise: These are depthwise separable, and a prediction is a depthwise and a 1x1 convolution.
        conv_cfg: Config of these convolutions.
        norm_cfg: Config of their norms.
        act_cfg: Config of their activations.
        anchor_generator: Config of the anchors.
        bbox_coder: Config of the box coder.
        reg_decoded_bbox: The loss of boxes is of decoded boxes.
        train_cfg: As `AnchorHead`; and ``neg_pos_ratio``, how many backgrounds there are at most for an
            object, and ``smoothl1_beta`` of the loss of boxes.
        test_cfg: See `BaseDenseHead.predict_by_feat`.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        num_classes: int = 80,
        in_channels: Sequence[int] = (512, 1024, 512, 256, 256, 256),
        stacked_convs: int = 0,
        feat_channels: int = 256,
        use_depthwise: bool = False,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        act_cfg: Cfg | None = None,
        anchor_generator: Cfg = _ANCHORS,
        bbox_coder: Cfg = _CODER,
        reg_decoded_bbox: bool = False,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        init_cfg: Any = {"type": "Xavier", "layer": "Conv2d", "distribution": "uniform", "bias": 0},  # noqa: B006
    ) -> None:
        self.stacked_convs, self.use_depthwise = stacked_convs, use_depthwise
        self.conv_cfg, self.norm_cfg, self.act_cfg = conv_cfg, norm_cfg, act_cfg
        super().__init__(
            num_classes,
            in_channels,  # type: ignore[arg-type]
            feat_channels,
            anchor_generator,
            bbox_coder,
            reg_decoded_bbox,
            loss_cls={"type": "CrossEntropyLoss", "use_sigmoid": False},
            loss_bbox={"type": "SmoothL1Loss", "beta": (train_cfg or {}).get("smoothl1_beta", 1.0)},
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        self.num_base_priors = self.prior_generator.num_base_priors

    def _init_layers(self) -> None:
        self.cls_convs, self.reg_convs = nn.ModuleList(), nn.ModuleList()
        counts = self.prior_generator.num_base_priors
        for channels, count in zip(self.in_channels, counts, strict=True):  # type: ignore[call-overload]
            self.cls_convs.append(self._level(channels, count * self.cls_out_channels))
            self.reg_convs.append(self._level(channels, count * self.bbox_coder.encode_size))

    def _level(self, channels: int, out_channels: int) -> nn.Sequential:
        """The layers of one level and one kind of prediction."""
        common: dict[str, Any] = {
            "conv_cfg": self.conv_cfg,
            "norm_cfg": self.norm_cfg,
            "act_cfg": self.act_cfg,
        }
        conv = DepthwiseSeparableConvModule if self.use_depthwise else ConvModule
        layers: list[nn.Module] = []
        for _ in range(self.stacked_convs):
            layers.append(conv(channels, self.feat_channels, 3, padding=1, **common))
            channels = self.feat_channels
        if self.use_depthwise:
            layers.append(ConvModule(channels, channels, 3, padding=1, groups=channels, **common))
            layers.append(nn.Conv2d(channels, out_channels, 1))
        else:
            layers.append(nn.Conv2d(channels, out_channels, 3, padding=1))
        return nn.Sequential(*layers)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        old = re.compile(re.escape(prefix) + r"(cls|reg)_convs\.\d+\.(weight|bias)")
        for key in [key for key in state_dict if old.fullmatch(key)]:
            front, _, name = key.rpartition(".")
            state_dict[f"{front}.0.{name}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits (B, A_l·(C + 1), H_l, W_l) and regressions (B, A_l·4, H_l, W_l), a list over levels each."""
        scores = [conv(one) for conv, one in zip(self.cls_convs, x, strict=True)]
        return scores, [conv(one) for conv, one in zip(self.reg_convs, x, strict=True)]

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls`` and ``loss_bbox``; arguments as `AnchorHead.loss_by_feat`."""
        targets = self.get_targets(
            map_sizes(cls_scores),
            batch_gt_instances,
            batch_img_metas,
            batch_gt_instances_ignore,
            cls_scores[0].device,
        )
        scores = flat_levels(cls_scores, self.cls_out_channels)
        boxes = flat_levels(bbox_preds, self.bbox_coder.encode_size).flatten(0, 1)[targets.pos_inds]
        losses = F.cross_entropy(scores.flatten(0, 1), targets.labels, reduction="none")
        return {
            "loss_cls": self._mined(losses, targets, scores.size(0)) / targets.avg_factor,
            "loss_bbox": self._loss_of_boxes(boxes, targets, avg_factor=targets.avg_factor),
        }

    def _mined(self, losses: Tensor, targets: AnchorTargets, batch: int) -> Tensor:
        """The losses (B·N,) of objects, and of the worst backgrounds of each image, summed."""
        assert self.train_cfg is not None
        assert targets.label_weights is not None
        losses = (losses * targets.label_weights).view(batch, -1)
        objects = (targets.labels < self.num_classes).view(batch, -1)
        # an object sorts behind all backgrounds, whose losses aren't negative
        worst = losses.masked_fill(objects, -1).sort(dim=1, descending=True).values
        counts = objects.sum(1, keepdim=True)
        counts = torch.minimum(counts * self.train_cfg["neg_pos_ratio"], losses.size(1) - counts)
        taken = torch.arange(losses.size(1), device=losses.device) < counts
        return (losses * objects).sum() + (worst * taken).sum()
