"""The head of FCOS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_free_head import (
    FOCAL_LOSS,
    INIT_CFG,
    IOU_LOSS,
    AnchorFreeHead,
)
from toolkit.detection.models.dense_heads.base_dense_head import Cfg, flat_levels, map_sizes
from toolkit.detection.models.dense_heads.point_targets import (
    INF,
    PointTargets,
    level_numbers,
    smallest_box_targets,
)
from toolkit.detection.models.utils import bbox2distance, multi_apply, reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import Scale, build_conv_layer
from toolkit.structures import InstanceData

_RANGES = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, INF))
_CENTERNESS = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}


@MODELS.register_module()
class FCOSHead(AnchorFreeHead):
    """Classes, distances to the four sides, and how central a point is (Tian et al., "FCOS", 2019).

    State-dict keys: those of `AnchorFreeHead`, ``conv_centerness.*`` and ``scales.i.scale``.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        regress_ranges: For each level, from where to where the longest distance to a side may be.
        center_sampling: Objects are only the points near the centre of a ground truth.
        center_sample_radius: How near, in strides.
        norm_on_bbox: Distances are in strides of their level, cut off at 0, in place of exponentials.
        centerness_on_reg: Centerness is predicted by the tower of boxes, in place of that of classes.
        loss_cls: Config of the loss of classes.
        loss_bbox: Config of the loss of boxes.
        loss_centerness: Config of the loss of centerness.
        norm_cfg: Config of the towers' norms.
        cls_predictor_cfg: Config of the layer of logits, a 1x1 convolution, in place of a 3x3 one;
            ``NormedLinear`` stands for `NormedConv2d`.
        init_cfg: See `BaseModule`.
        **kwargs: Those of `AnchorFreeHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        regress_ranges: Sequence[Sequence[float]] = _RANGES,
        center_sampling: bool = False,
        center_sample_radius: float = 1.5,
        norm_on_bbox: bool = False,
        centerness_on_reg: bool = False,
        loss_cls: Cfg = FOCAL_LOSS,
        loss_bbox: Cfg = IOU_LOSS,
        loss_centerness: Cfg = _CENTERNESS,
        norm_cfg: Cfg | None = {"type": "GN", "num_groups": 32, "requires_grad": True},  # noqa: B006
        cls_predictor_cfg: Cfg | None = None,
        init_cfg: Any = INIT_CFG,
        **kwargs: Any,
    ) -> None:
        self.regress_ranges = regress_ranges
        self.center_sampling, self.center_sample_radius = center_sampling, center_sample_radius
        self.norm_on_bbox, self.centerness_on_reg = norm_on_bbox, centerness_on_reg
        self.cls_predictor_cfg = cls_predictor_cfg
        super().__init__(
            num_classes,
            in_channels,
            loss_cls=loss_cls,
            loss_bbox=loss_bbox,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg,
            **kwargs,
        )
        self.loss_centerness = MODELS.build(loss_centerness)

    def _init_predictor(self) -> None:
        super()._init_predictor()
        if self.cls_predictor_cfg is not None:
            cfg = dict(self.cls_predictor_cfg)
            # MMDetection's configs have taken the name over from heads of linear layers.
            if cfg.get("type", "NormedLinear") == "NormedLinear":
                cfg["type"] = "NormedConv2d"
            self.conv_cls = build_conv_layer(cfg, self.feat_channels, self.cls_out_channels, 1, padding=0)
        self.conv_centerness = nn.Conv2d(self.feat_channels, 1, 3, padding=1)
        self.scales = nn.ModuleList(Scale(1.0) for _ in self.strides)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits (B, C, H, W), distances (B, 4, H, W) and centerness (B, 1, H, W), lists over levels.

        With `norm_on_bbox` distances are in strides while training, else in pixels.
        """
        return multi_apply(self._forward_level, x, self.scales, self.strides)

    def _forward_level(self, x: Tensor, scale: Scale, stride: int) -> tuple[Tensor, ...]:
        cls_score, bbox_pred, cls_feat, reg_feat = self.forward_single(x)
        centerness = self.conv_centerness(reg_feat if self.centerness_on_reg else cls_feat)
        # in half precision an exponential overflows soon
        bbox_pred = scale(bbox_pred).float()
        if not self.norm_on_bbox:
            bbox_pred = bbox_pred.exp()
        else:
            bbox_pred = bbox_pred.clamp(min=0)
            if not self.training:
                bbox_pred = bbox_pred * stride
        return cls_score, bbox_pred, centerness

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        centernesses: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls``, ``loss_bbox`` and ``loss_centerness``.

        Args:
            cls_scores: Logits, (B, C, H_l, W_l) each.
            bbox_preds: Distances, (B, 4, H_l, W_l) each.
            centernesses: Logits of centerness, (B, 1, H_l, W_l) each.
            batch_gt_instances: ``bboxes`` and ``labels`` of each image.
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Not used.
        """
        targets, pos_distances = self.get_targets(
            map_sizes(cls_scores), batch_gt_instances, cls_scores[0].device
        )
        scores, boxes, centerness = (
            flat_levels(maps, size).flatten(0, 1)
            for maps, size in ((cls_scores, self.cls_out_channels), (bbox_preds, 4), (centernesses, 1))
        )
        boxes, centerness = boxes[targets.pos_inds], centerness[targets.pos_inds].squeeze(1)
        num_pos = reduce_mean(boxes.new_full((), len(boxes))).clamp(min=1.0)
        labels = targets.labels.flatten()
        losses = {"loss_cls": self.loss_cls(scores, labels, avg_factor=num_pos)}
        if getattr(self.loss_cls, "custom_accuracy", False):
            losses.update(self.loss_cls.get_accuracy(scores, labels))
        goal = centerness_target(pos_distances)
        losses["loss_bbox"] = self.loss_bbox(
            self.bbox_coder.decode(targets.pos_points, boxes),
            self.bbox_coder.decode(targets.pos_points, pos_distances),
            weight=goal,
            avg_factor=reduce_mean(goal.sum()).clamp(min=1e-6),
        )
        losses["loss_centerness"] = self.loss_centerness(centerness, goal, avg_factor=num_pos)
        return losses

    def get_targets(
        self,
        featmap_sizes: Sequence[tuple[int, int]],
        batch_gt_instances: Sequence[InstanceData],
        device: torch.device,
    ) -> tuple[PointTargets, Tensor]:
        """What the points of a batch are to become, and the distances (P, 4) of those that are objects.

        Args:
            featmap_sizes: Height and width of each level.
            batch_gt_instances: See `loss_by_feat`.
            device: Where the points are.
        """
        points = self.prior_generator.grid_priors(featmap_sizes, device=device)
        assert len(points) == len(self.regress_ranges), "regress_ranges needs a range a level"
        per_level = torch.tensor(
            [(*ends, stride) for ends, stride in zip(self.regress_ranges, self.strides, strict=True)],
            dtype=torch.float32,
            device=device,
        )
        ranges, strides = per_level[level_numbers(featmap_sizes, device)].split((2, 1), dim=1)
        targets = smallest_box_targets(
            torch.cat(points),
            ranges,
            batch_gt_instances,
            self.num_classes,
            strides.squeeze(1) * self.center_sample_radius if self.center_sampling else None,
        )
        distances = bbox2distance(targets.pos_points, targets.pos_gt_bboxes)
        if self.norm_on_bbox:
            distances = distances / strides[targets.pos_inds % len(strides)]
        return targets, distances


def centerness_target(distances: Tensor) -> Tensor:
    """How central points are, 1 in the centre and 0 at a side: (P,) from positive distances (P, 4)."""
    left, top, right, bottom = distances.unbind(1)
    across = torch.minimum(left, right) / torch.maximum(left, right)
    down = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (across * down).sqrt()
