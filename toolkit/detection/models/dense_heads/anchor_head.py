"""Dense heads with anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.anchor_targets import AnchorTargetMixin, AnchorTargets
from toolkit.detection.models.dense_heads.base_dense_head import BaseDenseHead, flat_levels, map_sizes
from toolkit.detection.models.task_modules import PseudoSampler, build_assigner, build_sampler
from toolkit.detection.models.utils import multi_apply
from toolkit.detection.registry import MODELS, TASK_UTILS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfg = dict[str, Any]
_ANCHORS = {
    "type": "AnchorGenerator",
    "scales": [8, 16, 32],
    "ratios": [0.5, 1.0, 2.0],
    "strides": [4, 8, 16, 32, 64],
}
_CODER = {
    "type": "DeltaXYWHBBoxCoder",
    "clip_border": True,
    "target_means": (0.0, 0.0, 0.0, 0.0),
    "target_stds": (1.0, 1.0, 1.0, 1.0),
}
_LOSS_CLS = {"type": "CrossEntropyLoss", "use_sigmoid": True, "loss_weight": 1.0}
_LOSS_BBOX = {"type": "SmoothL1Loss", "beta": 1.0 / 9.0, "loss_weight": 1.0}


@MODELS.register_module()
class AnchorHead(AnchorTargetMixin, BaseDenseHead):
    """Classifies anchors and regresses boxes from them (Ren et al. 2015; Liu et al., "SSD", 2015).

    Only the anchors that were sampled are looked at for the losses, not all with a weight that is mostly 0.
    Without a sampler all of them are, as a focal loss wants it.

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        feat_channels: Channels inside the head.
        anchor_generator: Config of the anchors.
        bbox_coder: Config of the box coder.
        reg_decoded_bbox: The loss of boxes is of decoded boxes (as an IoU loss needs), not of offsets.
        loss_cls: Config of the loss of classes.
        loss_bbox: Config of the loss of boxes.
        train_cfg: ``assigner``, ``sampler`` (all anchors without it), ``allowed_border``, ``pos_weight``.
        test_cfg: See `BaseDenseHead.predict_by_feat`.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: There are no classes.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        feat_channels: int = 256,
        anchor_generator: Cfg = _ANCHORS,
        bbox_coder: Cfg = _CODER,
        reg_decoded_bbox: bool = False,
        loss_cls: Cfg = _LOSS_CLS,
        loss_bbox: Cfg = _LOSS_BBOX,
        train_cfg: Cfg | None = None,
        test_cfg: Cfg | None = None,
        init_cfg: Any = {"type": "Normal", "layer": "Conv2d", "std": 0.01},  # noqa: B006 - read only
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels, self.feat_channels = in_channels, feat_channels
        self.num_classes = num_classes
        self.use_sigmoid_cls = bool(loss_cls.get("use_sigmoid", False))
        self.cls_out_channels = num_classes if self.use_sigmoid_cls else num_classes + 1
        if num_classes <= 0:
            raise BuildError(f"num_classes of {type(self).__name__} must be at least 1, got {num_classes}")
        self.reg_decoded_bbox = reg_decoded_bbox
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if train_cfg is not None:
            self.assigner = build_assigner(train_cfg["assigner"])
            sampler = train_cfg.get("sampler")
            self.sampler = PseudoSampler() if sampler is None else build_sampler(sampler, context=self)
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        self.num_base_priors = self.prior_generator.num_base_priors[0]
        self._init_layers()

    @property
    def anchor_generator(self) -> Any:
        """The older name of ``prior_generator``."""
        return self.prior_generator

    @property
    def num_anchors(self) -> int:
        """The older name of ``num_base_priors``."""
        return self.num_base_priors

    def _init_layers(self) -> None:
        self.conv_cls = nn.Conv2d(self.in_channels, self.num_base_priors * self.cls_out_channels, 1)
        self.conv_reg = nn.Conv2d(self.in_channels, self.num_base_priors * self.bbox_coder.encode_size, 1)

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits (B, A·C, H, W) and regressions (B, A·4, H, W) of one level (B, in_channels, H, W)."""
        return self.conv_cls(x), self.conv_reg(x)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], ...]:
        """Logits and regressions, a list over levels each."""
        return multi_apply(self.forward_single, x)

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``loss_cls`` and ``loss_bbox``, both over all levels.

        Args:
            cls_scores: Logits, (B, A·C, H_l, W_l) each.
            bbox_preds: Regressions, (B, A·4, H_l, W_l) each.
            batch_gt_instances: ``bboxes`` and ``labels`` of each image.
            batch_img_metas: ``img_shape`` and ``pad_shape`` of each image.
            batch_gt_instances_ignore: ``bboxes`` of ignored regions of each image.
        """
        sizes = map_sizes(cls_scores)
        targets = self.get_targets(
            sizes, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore, cls_scores[0].device
        )
        scores = flat_levels(cls_scores, self.cls_out_channels).flatten(0, 1)
        boxes = flat_levels(bbox_preds, self.bbox_coder.encode_size).flatten(0, 1)[targets.pos_inds]
        if targets.inds is not None:
            scores = scores[targets.inds]
        if getattr(self.loss_cls, "per_level", False):
            return self._losses_by_level(scores, boxes, targets, sizes)
        return self._losses(scores, boxes, targets)

    def _losses(self, scores: Tensor, boxes: Tensor, targets: AnchorTargets) -> dict[str, Any]:
        """Losses of the logits (S, C) of the anchors that train, and of the regressions (P, 4) of objects."""
        avg_factor = targets.avg_factor
        return {
            "loss_cls": self.loss_cls(scores, targets.labels, targets.label_weights, avg_factor=avg_factor),
            "loss_bbox": self._loss_of_boxes(boxes, targets, avg_factor=avg_factor),
        }

    def _losses_by_level(
        self, scores: Tensor, boxes: Tensor, targets: AnchorTargets, sizes: Sequence[tuple[int, int]]
    ) -> dict[str, Any]:
        """The same, level by level, for losses that look at all that they are given together."""
        inds = torch.arange(len(scores), device=scores.device) if targets.inds is None else targets.inds
        row_levels, pos_levels = self._levels_at(inds, sizes), self._levels_at(targets.pos_inds, sizes)
        losses: dict[str, list[Tensor]] = {"loss_cls": [], "loss_bbox": []}
        for level in range(len(sizes)):
            rows = (row_levels == level).nonzero().squeeze(1)
            objects = (pos_levels == level).nonzero().squeeze(1)
            found = self._losses(scores[rows], boxes[objects], targets.part(rows, objects))
            for name, value in found.items():
                losses[name].append(value)
        return losses

    def _loss_of_boxes(self, boxes: Tensor, targets: AnchorTargets, **kwargs: Any) -> Tensor:
        """The loss of the regressions (P, 4) of the anchors that are objects."""
        if self.reg_decoded_bbox:
            boxes = self.bbox_coder.decode(targets.pos_anchors, boxes)
            return self.loss_bbox(boxes, targets.pos_gt_bboxes, **kwargs)
        goal = self.bbox_coder.encode(targets.pos_anchors, targets.pos_gt_bboxes)
        return self.loss_bbox(boxes, goal, **kwargs)
