"""Dense heads with anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.dense_heads.base_dense_head import BaseDenseHead, flat_map
from toolkit.detection.models.task_modules import PseudoSampler, SamplingResult, build_assigner, build_sampler
from toolkit.detection.models.utils import multi_apply
from toolkit.detection.registry import MODELS, TASK_UTILS
from toolkit.structures import InstanceData
from toolkit.utils import BuildError, TrainingError

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


@dataclass
class AnchorTargets:
    """What the sampled anchors of a batch are to become.

    Anchors are counted over all images: anchor i of image b is b·N + i. S of them are sampled, P of those are
    objects.
    """

    inds: Tensor
    """The sampled anchors, (S,) int64."""
    labels: Tensor
    """Their classes, (S,) int64; the number of classes stands for background."""
    label_weights: Tensor | None
    """Their weights, (S,); None for 1."""
    pos_inds: Tensor
    """Those that are objects, (P,) int64."""
    pos_anchors: Tensor
    """Their anchors, (P, 4)."""
    bbox_targets: Tensor
    """What their regressions are to be, (P, 4): offsets, or boxes where the loss is of decoded boxes."""
    avg_factor: float
    """What the losses are divided by."""


@MODELS.register_module()
class AnchorHead(BaseDenseHead):
    """Classifies anchors and regresses boxes from them (Ren et al. 2015; Liu et al., "SSD", 2015).

    Only the anchors that were sampled are looked at for the losses, not all with a weight that is mostly 0.

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

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, A·C, H, W) and regressions (B, A·4, H, W) of one level (B, in_channels, H, W)."""
        return self.conv_cls(x), self.conv_reg(x)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Logits and regressions, a list over levels each."""
        scores, boxes = multi_apply(self.forward_single, x)
        return scores, boxes

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
        sizes = [tuple(score.shape[-2:]) for score in cls_scores]
        targets = self.get_targets(
            sizes, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore, cls_scores[0].device
        )
        scores = torch.cat([flat_map(x, self.cls_out_channels) for x in cls_scores], dim=1)
        boxes = torch.cat([flat_map(x, self.bbox_coder.encode_size) for x in bbox_preds], dim=1)
        scores, boxes = scores.flatten(0, 1)[targets.inds], boxes.flatten(0, 1)[targets.pos_inds]
        if self.reg_decoded_bbox:
            boxes = self.bbox_coder.decode(targets.pos_anchors, boxes)
        loss_cls = self.loss_cls(scores, targets.labels, targets.label_weights, avg_factor=targets.avg_factor)
        loss_bbox = self.loss_bbox(boxes, targets.bbox_targets, avg_factor=targets.avg_factor)
        return {"loss_cls": loss_cls, "loss_bbox": loss_bbox}

    @torch.no_grad()
    def get_targets(
        self,
        featmap_sizes: Sequence[tuple[int, ...]],
        batch_gt_instances: Sequence[InstanceData],
        batch_img_metas: Sequence[dict[str, Any]],
        batch_gt_instances_ignore: Sequence[InstanceData | None] | None,
        device: torch.device,
    ) -> AnchorTargets:
        """Sample the anchors of a batch and say what they are to become.

        Args:
            featmap_sizes: Height and width of each level.
            batch_gt_instances: See `loss_by_feat`.
            batch_img_metas: See `loss_by_feat`.
            batch_gt_instances_ignore: See `loss_by_feat`.
            device: Where the anchors are.

        Raises:
            TrainingError: No anchor of an image may train.
        """
        anchors = torch.cat(self.prior_generator.grid_priors(featmap_sizes, device=device))
        ignored = batch_gt_instances_ignore or [None] * len(batch_gt_instances)
        sampled = [
            self._sample(anchors, featmap_sizes, *image)
            for image in zip(batch_gt_instances, batch_img_metas, ignored, strict=True)
        ]
        offsets = [i * len(anchors) for i in range(len(sampled))]
        results = [result for result, _ in sampled]
        pos = [_at(result.pos_inds, inside) + o for (result, inside), o in zip(sampled, offsets, strict=True)]
        neg = [_at(result.neg_inds, inside) + o for (result, inside), o in zip(sampled, offsets, strict=True)]
        pos_inds, neg_inds = torch.cat(pos), torch.cat(neg)
        pos_anchors = torch.cat([result.pos_priors for result in results])
        boxes = torch.cat([result.pos_gt_bboxes for result in results])
        background = neg_inds.new_full(neg_inds.shape, self.num_classes)
        return AnchorTargets(
            inds=torch.cat((pos_inds, neg_inds)),
            labels=torch.cat([result.pos_gt_labels for result in results] + [background]),
            label_weights=self._label_weights(len(pos_inds), len(neg_inds), boxes),
            pos_inds=pos_inds,
            pos_anchors=pos_anchors,
            bbox_targets=boxes if self.reg_decoded_bbox else self.bbox_coder.encode(pos_anchors, boxes),
            avg_factor=sum(result.avg_factor for result in results),
        )

    def _sample(
        self,
        anchors: Tensor,
        featmap_sizes: Sequence[tuple[int, ...]],
        gt: InstanceData,
        meta: dict[str, Any],
        ignored: InstanceData | None,
    ) -> tuple[SamplingResult, Tensor | None]:
        """The sampled anchors of one image, and which anchors they were sampled from (None for all)."""
        assert self.train_cfg is not None, "a head needs train_cfg to train"
        border = self.train_cfg.get("allowed_border", -1)
        inside = self.prior_generator.inside_inds(featmap_sizes, meta, border, anchors.device)
        if inside is not None:
            anchors = anchors[inside]
            if not len(anchors):
                raise TrainingError(
                    f"no anchor lies inside the image {meta.get('img_path', '')} of shape "
                    f"{meta['img_shape']}; allowed_border is {border}: raise it, or use smaller anchors"
                )
        priors = InstanceData(priors=anchors)
        assigned = self.assigner.assign(priors, gt, ignored)
        return self.sampler.sample(assigned, priors, gt), inside

    def _label_weights(self, num_pos: int, num_neg: int, like: Tensor) -> Tensor | None:
        assert self.train_cfg is not None
        weight = self.train_cfg.get("pos_weight", -1)
        if weight <= 0:
            return None
        return torch.cat((like.new_full((num_pos,), weight), like.new_ones(num_neg)))


def _at(inds: Tensor, inside: Tensor | None) -> Tensor:
    return inds if inside is None else inside[inds]
