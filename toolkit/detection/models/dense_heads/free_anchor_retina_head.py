"""RetinaNet that learns which anchors stand for an object."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.detection.models.dense_heads.base_dense_head import Cfg, flat_levels, map_sizes
from toolkit.detection.models.dense_heads.retina_head import RetinaHead
from toolkit.detection.models.utils import bbox_overlaps
from toolkit.detection.registry import MODELS
from toolkit.structures import InstanceData

_EPS = 1e-12


@MODELS.register_module()
class FreeAnchorRetinaHead(RetinaHead):
    """A `RetinaHead` whose loss is of bags of anchors (Zhang et al., "FreeAnchor", 2019).

    Args:
        num_classes: Without background.
        in_channels: Channels of the feature maps.
        stacked_convs: Convolutions a tower.
        conv_cfg: Config of the towers' convolutions.
        norm_cfg: Config of the towers' norms.
        pre_anchor_topk: How many anchors are in the bag of an object.
        bbox_thr: Predictions that overlap an object up to this are surely background.
        gamma: How much less easy background counts.
        alpha: Weight of objects; background has ``1 - alpha``.
        **kwargs: Those of `RetinaHead`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        stacked_convs: int = 4,
        conv_cfg: Cfg | None = None,
        norm_cfg: Cfg | None = None,
        pre_anchor_topk: int = 50,
        bbox_thr: float = 0.6,
        gamma: float = 2.0,
        alpha: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, in_channels, stacked_convs, conv_cfg, norm_cfg, **kwargs)
        self.pre_anchor_topk, self.bbox_thr = pre_anchor_topk, bbox_thr
        self.gamma, self.alpha = gamma, alpha

    def loss_by_feat(  # type: ignore[override]
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Any]:
        """``positive_bag_loss`` and ``negative_bag_loss``; arguments as `AnchorHead.loss_by_feat`."""
        levels = self.prior_generator.grid_priors(map_sizes(cls_scores), device=cls_scores[0].device)
        anchors = torch.cat(levels)
        probs = flat_levels(cls_scores, self.cls_out_channels).sigmoid()
        boxes = flat_levels(bbox_preds, self.bbox_coder.encode_size)
        images = list(zip(probs, boxes, batch_gt_instances, strict=True))
        count = sum(len(gt.bboxes) for gt in batch_gt_instances)
        positive = torch.cat([self._positive_losses(*image, anchors) for image in images])
        is_object = torch.stack([self._box_probs(*image, anchors) for image in images])
        negative = self._negative_losses(probs, is_object)
        return {
            "positive_bag_loss": positive.sum() / max(1, count) if count else boxes.sum() * 0,
            "negative_bag_loss": negative.sum() / max(1, count * self.pre_anchor_topk),
        }

    @torch.no_grad()
    def _box_probs(self, probs: Tensor, boxes: Tensor, gt: InstanceData, anchors: Tensor) -> Tensor:
        """How sure each prediction is an object of each class, (N, C), by how it overlaps them."""
        found = probs.new_zeros(probs.shape[::-1])
        if len(gt.bboxes):
            overlaps = bbox_overlaps(gt.bboxes, self.bbox_coder.decode(anchors, boxes))
            most = overlaps.amax(1, keepdim=True).clamp(min=self.bbox_thr + _EPS)
            sure = ((overlaps - self.bbox_thr) / (most - self.bbox_thr)).clamp(0, 1)
            rows = gt.labels.unsqueeze(1).expand_as(sure)
            found.scatter_reduce_(0, rows, sure.to(found.dtype), "amax")
        return found.t()

    def _positive_losses(self, probs: Tensor, boxes: Tensor, gt: InstanceData, anchors: Tensor) -> Tensor:
        """Of each object: how unlikely it is that none of its bag finds it, (G,)."""
        bag = bbox_overlaps(gt.bboxes, anchors).topk(self.pre_anchor_topk, dim=1, sorted=False).indices
        own = probs[bag, gt.labels.unsqueeze(1)]  # (G, K)
        goal = self.bbox_coder.encode(anchors[bag], gt.bboxes.unsqueeze(1).expand(-1, bag.size(1), -1))
        place = torch.exp(-self.loss_bbox(boxes[bag], goal, reduction_override="none").sum(-1))
        matched = own * place
        weight = 1 / (1 - matched).clamp(min=_EPS)
        bag_prob = (weight * matched).sum(1) / weight.sum(1)
        return self.alpha * F.binary_cross_entropy(bag_prob, torch.ones_like(bag_prob), reduction="none")

    def _negative_losses(self, probs: Tensor, is_object: Tensor) -> Tensor:
        """Focal losses of all that is likely background, (B, N, C)."""
        prob = (probs * (1 - is_object)).clamp(_EPS, 1 - _EPS)
        cost = F.binary_cross_entropy(prob, torch.zeros_like(prob), reduction="none")
        return (1 - self.alpha) * prob**self.gamma * cost
