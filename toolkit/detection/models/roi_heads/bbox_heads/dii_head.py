"""The box head of Sparse R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.losses import accuracy
from toolkit.detection.models.roi_heads.bbox_heads.bbox_head import BBoxHead, Targets
from toolkit.detection.models.task_modules import SamplingResult
from toolkit.detection.models.utils import reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import build_norm_layer
from toolkit.model.transformer import FFN, MultiheadAttention
from toolkit.model.weight_init import bias_init_with_prob
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_DYNAMIC_CONV = {
    "type": "DynamicConv",
    "in_channels": 256,
    "feat_channels": 64,
    "out_channels": 256,
    "input_feat_shape": 7,
    "act_cfg": {"type": "ReLU", "inplace": True},
    "norm_cfg": {"type": "LN"},
}


@MODELS.register_module()
class DIIHead(BBoxHead):
    """Objects look at each other, then each at its region, and give a class and a box.

    From "Sparse R-CNN: End-to-End Object Detection with Learnable Proposals" (Sun et al., 2020). Shapes: B
    images with Q objects each, R = B·Q regions, C classes.

    Args:
        num_classes: Without background.
        num_ffn_fcs: Linear layers of the feed-forward network.
        num_heads: Heads of the attention.
        num_cls_fcs: Linear layers of the classes' branch.
        num_reg_fcs: Linear layers of the boxes' branch.
        feedforward_channels: Channels inside the feed-forward network.
        in_channels: Channels of objects and regions.
        dropout: Of attention and feed-forward network.
        ffn_act_cfg: Config of the activation of the feed-forward network.
        dynamic_conv_cfg: Config of what brings an object and its region together.
        loss_iou: Config of the loss of overlaps.
        init_cfg: Only None: it initialises itself.
        **kwargs: Those of `BBoxHead`.

    Raises:
        BuildError: `init_cfg` is given.
    """

    def __init__(
        self,
        num_classes: int = 80,
        num_ffn_fcs: int = 2,
        num_heads: int = 8,
        num_cls_fcs: int = 1,
        num_reg_fcs: int = 3,
        feedforward_channels: int = 2048,
        in_channels: int = 256,
        dropout: float = 0.0,
        ffn_act_cfg: Cfg = {"type": "ReLU", "inplace": True},  # noqa: B006 - read only
        dynamic_conv_cfg: Cfg = _DYNAMIC_CONV,
        loss_iou: Cfg = {"type": "GIoULoss", "loss_weight": 2.0},  # noqa: B006 - read only
        init_cfg: Any = None,
        **kwargs: Any,
    ) -> None:
        if init_cfg is not None:
            raise BuildError(f"DIIHead initialises itself: take away init_cfg={init_cfg!r}")
        super().__init__(
            num_classes=num_classes,
            reg_decoded_bbox=True,
            reg_class_agnostic=True,
            in_channels=in_channels,
            **kwargs,
        )
        self.loss_iou = MODELS.build(loss_iou)
        self.attention = MultiheadAttention(in_channels, num_heads, dropout)
        self.attention_norm = build_norm_layer({"type": "LN"}, in_channels)[1]
        self.instance_interactive_conv = MODELS.build(dynamic_conv_cfg)
        self.instance_interactive_conv_dropout = nn.Dropout(dropout)
        self.instance_interactive_conv_norm = build_norm_layer({"type": "LN"}, in_channels)[1]
        self.ffn = FFN(in_channels, feedforward_channels, num_ffn_fcs, act_cfg=ffn_act_cfg, ffn_drop=dropout)
        self.ffn_norm = build_norm_layer({"type": "LN"}, in_channels)[1]
        self.cls_fcs = self._fcs(num_cls_fcs)
        self.reg_fcs = self._fcs(num_reg_fcs)

    def _add_layers(self) -> None:
        classes = self.num_classes if self.loss_cls.use_sigmoid else self.num_classes + 1
        self.fc_cls = nn.Linear(self.in_channels, classes)
        self.fc_reg = nn.Linear(self.in_channels, 4)

    def _fcs(self, num: int) -> nn.ModuleList:
        layers: list[nn.Module] = []
        for _ in range(num):
            layers.append(nn.Linear(self.in_channels, self.in_channels, bias=False))
            layers.append(build_norm_layer({"type": "LN"}, self.in_channels)[1])
            layers.append(nn.ReLU(inplace=True))
        return nn.ModuleList(layers)

    def init_weights(self) -> None:
        """All weights by Glorot and Bengio (2010); with a sigmoid classes begin at a hundredth."""
        super().init_weights()
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        if self.loss_cls.use_sigmoid:
            nn.init.constant_(self.fc_cls.bias, bias_init_with_prob(0.01))

    def forward(  # type: ignore[override]
        self, roi_feat: Tensor, proposal_feat: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One stage.

        Args:
            roi_feat: Features of regions, (R, in_channels, h, w).
            proposal_feat: Features of objects, (B, Q, in_channels).

        Returns:
            Logits (B, Q, C or C + 1), regressions (B, Q, 4), features of objects (B, Q, in_channels), and
            those after they looked at each other, (B, Q, in_channels).
        """
        shape = proposal_feat.shape[:2]
        attended = self.attention_norm(self.attention(proposal_feat.transpose(0, 1))).transpose(0, 1)
        x = attended.reshape(-1, self.in_channels)
        x = x + self.instance_interactive_conv_dropout(self.instance_interactive_conv(x, roi_feat))
        x = self.ffn_norm(self.ffn(self.instance_interactive_conv_norm(x)))
        cls_feat = reg_feat = x
        for layer in self.cls_fcs:
            cls_feat = layer(cls_feat)
        for layer in self.reg_fcs:
            reg_feat = layer(reg_feat)
        outs = (self.fc_cls(cls_feat), self.fc_reg(reg_feat), x)
        cls_score, bbox_pred, obj_feat = (out.view(*shape, -1) for out in outs)
        return cls_score, bbox_pred, obj_feat, attended

    def loss_and_target(  # type: ignore[override]
        self,
        cls_score: Tensor,
        bbox_pred: Tensor,
        sampling_results: Sequence[SamplingResult],
        rcnn_train_cfg: Cfg,
        imgs_whwh: Tensor,
        concat: bool = True,
        reduction_override: str | None = None,
    ) -> dict[str, Any]:
        """Losses of all objects.

        Args:
            cls_score: Logits, (R, C).
            bbox_pred: Boxes in pixels, (R, 4).
            sampling_results: Of each image.
            rcnn_train_cfg: ``pos_weight``.
            imgs_whwh: Width and height of each object's image, twice, (B, Q, 4).
            concat: See `BBoxHead.get_targets`.
            reduction_override: In place of the reduction of the loss of classes.

        Returns:
            `loss_bbox`: losses by name; `bbox_targets`: what `get_targets` gave.
        """
        targets = self.get_targets(sampling_results, rcnn_train_cfg, concat)
        labels, label_weights, boxes, weights = targets
        starts = [i * (len(cls_score) // len(sampling_results)) for i in range(len(sampling_results))]
        pos = torch.cat([one.pos_inds + start for one, start in zip(sampling_results, starts, strict=True)])
        avg_factor = reduce_mean(cls_score.new_tensor(float(len(pos)))).clamp(min=1)
        whwh = imgs_whwh.reshape(-1, 4)[pos]
        loss_cls = self.loss_cls(
            cls_score, labels, label_weights, avg_factor=avg_factor, reduction_override=reduction_override
        )
        losses = {
            "loss_cls": loss_cls,
            "pos_acc": accuracy(cls_score[pos], labels[pos]),
            "loss_bbox": self.loss_bbox(
                bbox_pred[pos] / whwh, boxes[pos] / whwh, weights[pos], avg_factor=avg_factor
            ),
            "loss_iou": self.loss_iou(bbox_pred[pos], boxes[pos], weights[pos], avg_factor=avg_factor),
        }
        return {"loss_bbox": losses, "bbox_targets": targets}

    def _targets_of(self, result: SamplingResult, pos_weight: float) -> Targets:
        """The targets of one image, in the order of its objects."""
        count = len(result.pos_inds) + len(result.neg_inds)
        boxes = result.pos_gt_bboxes
        labels = result.pos_gt_labels.new_full((count,), self.num_classes)
        label_weights, weights = boxes.new_ones(count), boxes.new_zeros(count, 4)
        targets = boxes.new_zeros(count, 4)
        labels[result.pos_inds] = result.pos_gt_labels
        label_weights[result.pos_inds] = pos_weight
        targets[result.pos_inds] = boxes
        weights[result.pos_inds] = 1.0
        return labels, label_weights, targets, weights
