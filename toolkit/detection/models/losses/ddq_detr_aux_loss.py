"""The loss of DDQ-DETR's dense queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.task_modules.builder import build_assigner
from toolkit.detection.models.utils import reduce_mean
from toolkit.detection.registry import MODELS
from toolkit.structures import InstanceData

Cfg = Mapping[str, Any]
_LOSS_CLS = {
    "type": "QualityFocalLoss",
    "use_sigmoid": True,
    "activated": True,
    "beta": 2.0,
    "loss_weight": 1.0,
}
_LOSS_BBOX = {"type": "GIoULoss", "loss_weight": 2.0}
_TRAIN_CFG = {"assigner": {"type": "TopkHungarianAssigner", "topk": 8}, "alpha": 1, "beta": 6}


class DDQAuxLoss(nn.Module):
    """Losses of queries of which several match a ground truth, weighted by how good each match is (Zhang et
    al., "Dense Distinct Query for End-to-End Object Detection", 2023).

    Shapes: L layers, B images, Q queries, C classes, P matches.

    Args:
        loss_cls: Config of the loss of classes, of probabilities and qualities.
        loss_bbox: Config of the loss of boxes.
        train_cfg: ``assigner``; ``alpha`` and ``beta``, the exponents of score and overlap in a match's
            quality.
    """

    def __init__(
        self, loss_cls: Cfg = _LOSS_CLS, loss_bbox: Cfg = _LOSS_BBOX, train_cfg: Cfg = _TRAIN_CFG
    ) -> None:
        super().__init__()
        self.train_cfg = train_cfg
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.assigner = build_assigner(train_cfg["assigner"])

    def forward(
        self, scores: Tensor, boxes: Tensor, gts: Sequence[InstanceData], metas: Sequence[Mapping[str, Any]]
    ) -> tuple[Tensor, Tensor]:
        """The losses of classes and of boxes of each layer, (L,) each.

        Args:
            scores: Probabilities, (L, B, Q, C).
            boxes: x1, y1, x2, y2 in pixels, (L, B, Q, 4).
            gts: ``bboxes`` and ``labels`` of each image.
            metas: ``img_shape`` of each image.
        """
        layers, num_classes = len(scores), scores.size(-1)
        matches = self.assigner.match(scores.detach(), boxes.detach(), gts, metas)
        labels = torch.cat([gt.labels for gt in gts])[matches.gt]
        targets = torch.cat([gt.bboxes for gt in gts])[matches.gt]
        index = matches.pred.unsqueeze(-1)
        found = boxes.flatten(1, 2).gather(1, index.expand(-1, -1, 4))
        own = scores.flatten(1, 2).gather(1, index.expand(-1, -1, num_classes)).detach()
        own = own.gather(2, labels.unsqueeze(-1)).squeeze(-1)
        quality = self._quality(own, found.detach(), targets, matches.gt, sum(len(gt.labels) for gt in gts))

        shape = (layers, scores.size(1) * scores.size(2))
        target = labels.new_full(shape, num_classes).scatter_(1, matches.pred, labels)
        qualities = quality.new_zeros(shape).scatter_(1, matches.pred, quality)
        # Images without objects don't train at all.
        counts = scores.new_tensor([float(len(gt.labels) > 0) for gt in gts])
        weight = counts[:, None].expand(layers, -1, scores.size(2))
        loss_cls = self.loss_cls(
            scores.flatten(0, 2),
            (target.flatten(), qualities.flatten()),
            weight.flatten(),
            reduction_override="none",
        )
        loss_bbox = self.loss_bbox(
            found.flatten(0, 1), targets.flatten(0, 1), quality.flatten(), reduction_override="none"
        )
        divisor = reduce_mean(quality.sum(1)).clamp(min=1)
        per_layer = loss_bbox.view(layers, quality.size(1)).sum(1)
        return loss_cls.view(shape).sum(1) / divisor, per_layer / divisor

    def _quality(self, scores: Tensor, boxes: Tensor, targets: Tensor, owner: Tensor, num_gts: int) -> Tensor:
        """How good each match is, (L, P): the best of a ground truth is as good as its best overlap.

        Args:
            scores: Probabilities of the right class, (L, P).
            boxes: (L, P, 4).
            targets: Their ground truths, (L, P, 4).
            owner: Which ground truths those are, (L, P) int64.
            num_gts: How many there are.
        """
        overlaps = self.assigner.iou_calculator(boxes, targets, is_aligned=True)
        metric = scores ** self.train_cfg.get("alpha", 1) * overlaps ** self.train_cfg.get("beta", 6)
        best = metric.new_zeros(len(metric), num_gts)
        top = best.scatter_reduce(1, owner, metric, "amax").gather(1, owner)
        reach = best.scatter_reduce(1, owner, overlaps, "amax").gather(1, owner)
        return metric / (top + 1e-7) * reach
