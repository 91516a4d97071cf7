"""The head of YOLOX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.models.dense_heads.base_dense_head import (
    BaseDenseHead,
    Cfg,
    Meta,
    flat_levels,
    map_sizes,
)
from toolkit.detection.models.layers.csp_layer import ACT_CFG, INIT_CFG, NORM_CFG, conv_type
from toolkit.detection.models.task_modules import MlvlPointGenerator, build_assigner
from toolkit.detection.models.utils import get_box_tensor, multi_apply, reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.model import bias_init_with_prob
from toolkit.structures import InstanceData

_LOSS_CLS = {"type": "CrossEntropyLoss", "use_sigmoid": True, "reduction": "sum", "loss_weight": 1.0}
_LOSS_BBOX = {"type": "IoULoss", "mode": "square", "eps": 1e-16, "reduction": "sum", "loss_weight": 5.0}
_LOSS_L1 = {"type": "L1Loss", "reduction": "sum", "loss_weight": 1.0}
_EPS = 1e-8


@MODELS.register_module()
class YOLOXHead(BaseDenseHead):
    """Classes, boxes and objectness, with convolutions of its own a level (Ge et al., "YOLOX", 2021).

    State-dict keys: for each level i ``multi_level_cls_convs.i.*``, ``multi_level_reg_convs.i.*``,
    ``multi_level_conv_cls.i.*``, ``multi_level_conv_reg.i.*`` and ``multi_level_conv_obj.i.*``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        feat_channels: Channels inside the head.
        stacked_convs: Convolutions before the predictions.
        strides: Of each level, in pixels.
        use_depthwise: These are depthwise separable.
        dcn_on_last_conv: The last of these is deformable.
        conv_bias: Whether these have a bias; 'auto': where there is no norm.
        conv_cfg: Config of these.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        loss_cls: Config of the loss of classes.
        loss_bbox: Config of the loss of boxes.
        loss_obj: Config of the loss of objectness.
        loss_l1: Config of a further loss of boxes, for the last epochs; see ``use_l1``.
        train_cfg: ``assigner``.
        test_cfg: ``score_thr`` and ``nms``.
        init_cfg: See `BaseModule`.

    Attributes:
        use_l1: Whether ``loss_l1`` is among the losses; `YOLOXModeSwitchHook` sets it.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        stacked_convs: int = 2,
        strides: Sequence[int] = (8, 16, 32),
        use_depthwise: bool = False,
        dcn_on_last_conv: bool = False,
        conv_bias: bool | str = "auto",
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = NORM_CFG,
        act_cfg: Cfg | None = ACT_CFG,
        loss_cls: Cfg = _LOSS_CLS,
        loss_bbox: Cfg = _LOSS_BBOX,
        loss_obj: Cfg = _LOSS_CLS,
        loss_l1: Cfg = _LOSS_L1,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        init_cfg: Any = INIT_CFG,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = self.cls_out_channels = num_classes
        self.use_sigmoid_cls = True
        self.in_channels, self.feat_channels = in_channels, feat_channels
        self.stacked_convs, self.strides = stacked_convs, strides
        self.use_depthwise, self.dcn_on_last_conv = use_depthwise, dcn_on_last_conv
        self.conv_bias, self.conv_cfg = conv_bias, conv_cfg
        self.norm_cfg, self.act_cfg = norm_cfg, act_cfg
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.loss_obj = MODELS.build(loss_obj)
        self.loss_l1 = MODELS.build(loss_l1)
        self.use_l1 = False
        self.prior_generator = MlvlPointGenerator(strides, offset=0)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if train_cfg is not None:
            self.assigner = build_assigner(train_cfg["assigner"])
        self._init_layers()

    def _init_layers(self) -> None:
        levels = range(len(self.strides))
        self.multi_level_cls_convs = nn.ModuleList(self._stacked_convs() for _ in levels)
        self.multi_level_reg_convs = nn.ModuleList(self._stacked_convs() for _ in levels)
        self.multi_level_conv_cls, self.multi_level_conv_reg, self.multi_level_conv_obj = (
            nn.ModuleList(nn.Conv2d(self.feat_channels, channels, 1) for _ in levels)
            for channels in (self.cls_out_channels, 4, 1)
        )

    def _stacked_convs(self) -> nn.Sequential:
        last = self.stacked_convs - 1
        return nn.Sequential(
            *(
                conv_type(self.use_depthwise)(
                    self.feat_channels if i else self.in_channels,
                    self.feat_channels,
                    3,
                    padding=1,
                    conv_cfg={"type": "DCNv2"} if self.dcn_on_last_conv and i == last else self.conv_cfg,
                    norm_cfg=self.norm_cfg,
                    act_cfg=self.act_cfg,
                    bias=self.conv_bias,
                )
                for i in range(self.stacked_convs)
            )
        )

    def init_weights(self) -> None:
        """See `BaseModule`; classes and objectness start at a probability of 0.01."""
        super().init_weights()
        for conv in (*self.multi_level_conv_cls, *self.multi_level_conv_obj):
            nn.init.constant_(conv.bias, bias_init_with_prob(0.01))

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits (B, C, H, W), regressions (B, 4, H, W) and objectness (B, 1, H, W), lists over levels."""
        return multi_apply(
            self._forward_level,
            x,
            self.multi_level_cls_convs,
            self.multi_level_reg_convs,
            self.multi_level_conv_cls,
            self.multi_level_conv_reg,
            self.multi_level_conv_obj,
        )

    @staticmethod
    def _forward_level(
        x: Tensor,
        cls_convs: nn.Module,
        reg_convs: nn.Module,
        conv_cls: nn.Module,
        conv_reg: nn.Module,
        conv_obj: nn.Module,
    ) -> tuple[Tensor, Tensor, Tensor]:
        reg_feat = reg_convs(x)
        return conv_cls(cls_convs(x)), conv_reg(reg_feat), conv_obj(reg_feat)

    def _flat(
        self, cls_scores: list[Tensor], bbox_preds: list[Tensor], objectnesses: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (B, N, C), regressions (B, N, 4), objectness (B, N), and points with strides (N, 4)."""
        priors = self.prior_generator.grid_priors(
            map_sizes(cls_scores), device=cls_scores[0].device, with_stride=True
        )
        return (
            flat_levels(cls_scores, self.cls_out_channels),
            flat_levels(bbox_preds, 4),
            flat_levels(objectnesses, 1).squeeze(-1),
            torch.cat(priors),
        )

    @torch.no_grad()
    def predict_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        score_factors: list[Tensor] | None = None,
        batch_img_metas: Sequence[Meta] = (),
        cfg: Cfg | None = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> list[InstanceData]:
        """From maps to detections: at most one a place, of its best class; boxes aren't clipped.

        Arguments and results as `BaseDenseHead.predict_by_feat`, with objectness as `score_factors`.
        """
        cfg = self.test_cfg if cfg is None else cfg
        assert cfg is not None, "a head needs test_cfg to predict"
        assert score_factors is not None, "YOLOXHead needs objectness"
        logits, regressions, objectness, priors = self._flat(cls_scores, bbox_preds, score_factors)
        best, labels = logits.max(dim=-1)
        scores = best.sigmoid() * objectness.sigmoid()
        found = {
            "bboxes": decode_boxes(priors, regressions),
            "scores": scores,
            "labels": labels,
            "valid": scores >= cfg.get("score_thr", 0),
        }
        return self._post_process(found, batch_img_metas, cfg, rescale, with_nms)

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        objectnesses: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_bbox``, ``loss_obj`` and, with ``use_l1``, ``loss_l1``.

        Args:
            cls_scores: Logits, (B, C, H_l, W_l) each.
            bbox_preds: Regressions, (B, 4, H_l, W_l) each.
            objectnesses: Logits of objectness, (B, 1, H_l, W_l) each.
            batch_gt_instances: ``bboxes`` and ``labels`` of each image.
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Passed to the assigner.
        """
        logits, regressions, objectness, priors = self._flat(cls_scores, bbox_preds, objectnesses)
        boxes = decode_boxes(priors, regressions)
        pos_inds, gt_boxes, cls_targets = self.get_targets(
            priors, logits, boxes, objectness, batch_gt_instances, batch_gt_instances_ignore
        )
        total = reduce_mean(boxes.new_full((), len(pos_inds), dtype=torch.float32)).clamp(min=1.0)
        obj_targets = torch.zeros_like(objectness).flatten().index_fill_(0, pos_inds, 1)
        obj_loss = self.loss_obj(objectness.reshape(-1, 1), obj_targets.unsqueeze(1))
        cls_loss = self.loss_cls(logits.flatten(0, 1)[pos_inds], cls_targets)
        box_loss = self.loss_bbox(boxes.flatten(0, 1)[pos_inds], gt_boxes)
        losses = {"loss_cls": cls_loss / total, "loss_bbox": box_loss / total, "loss_obj": obj_loss / total}
        if self.use_l1:
            goal = encode_boxes(priors[pos_inds % len(priors)], gt_boxes)
            losses["loss_l1"] = self.loss_l1(regressions.flatten(0, 1)[pos_inds], goal) / total
        return losses

    @torch.no_grad()
    def get_targets(
        self,
        priors: Tensor,
        logits: Tensor,
        boxes: Tensor,
        objectness: Tensor,
        batch_gt_instances: Sequence[InstanceData],
        batch_gt_instances_ignore: Sequence[InstanceData | None] | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Which points are objects, and what they are to become.

        Args:
            priors: Points with strides, (N, 4).
            logits: (B, N, C).
            boxes: (B, N, 4).
            objectness: Logits, (B, N).
            batch_gt_instances: See `loss_by_feat`.
            batch_gt_instances_ignore: See `loss_by_feat`.

        Returns:
            The points that are objects, counted over all images, (P,); their boxes, (P, 4); and the targets
            of their classes, (P, C): the overlap of the predicted box for the class, 0 for others.
        """
        centers = torch.cat((priors[:, :2] + priors[:, 2:] * 0.5, priors[:, 2:]), dim=1)
        scores = (logits.sigmoid() * objectness.sigmoid().unsqueeze(-1)).sqrt()
        ignored = batch_gt_instances_ignore or [None] * len(batch_gt_instances)
        places, gt_boxes, cls_targets = [], [], []
        for i, (gt, regions) in enumerate(zip(batch_gt_instances, ignored, strict=True)):
            predicted = InstanceData(priors=centers, bboxes=boxes[i], scores=scores[i])
            assigned = self.assigner.assign(predicted, gt, regions)
            inds = (assigned.gt_inds > 0).nonzero().squeeze(1)
            places.append(inds + i * len(priors))
            gt_boxes.append(get_box_tensor(gt.bboxes)[assigned.gt_inds[inds] - 1])
            classes = F.one_hot(assigned.labels[inds], self.num_classes)
            cls_targets.append(classes * assigned.max_overlaps[inds].unsqueeze(1))
        return torch.cat(places), torch.cat(gt_boxes), torch.cat(cls_targets)


def decode_boxes(priors: Tensor, regressions: Tensor) -> Tensor:
    """Boxes (..., 4) from offsets of centres in strides and logarithms of sizes in strides, (..., 4).

    Args:
        priors: Points with strides, (N, 4).
        regressions: (..., N, 4).
    """
    center = regressions[..., :2] * priors[:, 2:] + priors[:, :2]
    half = regressions[..., 2:].exp() * priors[:, 2:] / 2
    return torch.cat((center - half, center + half), dim=-1)


def encode_boxes(priors: Tensor, boxes: Tensor) -> Tensor:
    """The inverse of `decode_boxes`, for boxes (N, 4)."""
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = boxes[:, 2:] - boxes[:, :2]
    offsets = (center - priors[:, :2]) / priors[:, 2:]
    return torch.cat((offsets, torch.log(size / priors[:, 2:] + _EPS)), dim=1)
