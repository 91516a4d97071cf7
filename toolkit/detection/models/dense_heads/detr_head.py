"""The head of DETR, which is also the template of its successors' heads.

Shapes: L decoder layers, B images, Q queries, C classes, D channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.detection.models.losses import QualityFocalLoss
from toolkit.detection.models.task_modules.assigners.hungarian_assigner import Matches, image_scales
from toolkit.detection.models.task_modules.builder import build_assigner
from toolkit.detection.models.utils import (
    bbox_cxcywh_to_xyxy,
    bbox_overlaps,
    bbox_xyxy_to_cxcywh,
    reduce_mean,
    unpack_gt_instances,
)
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.dist import is_distributed
from toolkit.model import BaseModule
from toolkit.model.transformer import FFN
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfg = dict[str, Any]
Metas = Sequence[Mapping[str, Any]]
Gts = Sequence[InstanceData]
_EPS = torch.finfo(torch.float32).eps
_LOSS_CLS = {
    "type": "CrossEntropyLoss",
    "bg_cls_weight": 0.1,
    "use_sigmoid": False,
    "loss_weight": 1.0,
    "class_weight": 1.0,
}
_LOSS_BBOX = {"type": "L1Loss", "loss_weight": 5.0}
_LOSS_IOU = {"type": "GIoULoss", "loss_weight": 2.0}
_TRAIN_CFG = {
    "assigner": {
        "type": "HungarianAssigner",
        "match_costs": [
            {"type": "ClassificationCost", "weight": 1.0},
            {"type": "BBoxL1Cost", "weight": 5.0, "box_format": "xywh"},
            {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},
        ],
    }
}
_TEST_CFG = {"max_per_img": 100}


@MODELS.register_module()
class DETRHead(BaseModule):
    """A class and a box a query, trained on the queries that match the ground truth best (Carion et al.,
    "End-to-End Object Detection with Transformers", 2020).

    The losses of all layers and images are computed together; matching is all that waits for the device.

    State-dict keys: ``fc_cls.*``, ``reg_ffn.*``, ``fc_reg.*``.

    Args:
        num_classes: Without background.
        embed_dims: Channels of the queries.
        num_reg_fcs: Linear layers of the regression, but for the last.
        sync_cls_avg_factor: Average over all processes what the loss of classes is divided by.
        loss_cls: Config of the loss of classes; with a ``class_weight``, a number, ``bg_cls_weight`` is the
            weight of background.
        loss_bbox: Config of the loss of boxes, as cx, cy, w, h from 0 to 1.
        loss_iou: Config of the loss of boxes, as corners in pixels.
        train_cfg: ``assigner``.
        test_cfg: ``max_per_img``, the most detections of an image.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: `train_cfg` has no assigner, or a sampler; or a weight of classes is no number.
    """

    def __init__(
        self,
        num_classes: int,
        embed_dims: int = 256,
        num_reg_fcs: int = 2,
        sync_cls_avg_factor: bool = False,
        loss_cls: Cfg = _LOSS_CLS,
        loss_bbox: Cfg = _LOSS_BBOX,
        loss_iou: Cfg = _LOSS_IOU,
        train_cfg: Cfg | None = _TRAIN_CFG,
        test_cfg: Cfg | None = _TEST_CFG,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes, self.embed_dims, self.num_reg_fcs = num_classes, embed_dims, num_reg_fcs
        self.sync_cls_avg_factor = sync_cls_avg_factor
        self.train_cfg, self.test_cfg = train_cfg, test_cfg
        if train_cfg:
            if "assigner" not in train_cfg or train_cfg.get("sampler") is not None:
                raise BuildError(
                    f"train_cfg of {type(self).__name__} needs an assigner and takes no sampler, "
                    f"got {sorted(train_cfg)}"
                )
            self.assigner = build_assigner(train_cfg["assigner"])
        loss_cls, self.bg_cls_weight = self._weighted_classes(loss_cls)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        self.loss_iou = MODELS.build(loss_iou)
        self.use_sigmoid_cls = bool(self.loss_cls.use_sigmoid)
        self.cls_out_channels = num_classes if self.use_sigmoid_cls else num_classes + 1
        self._init_layers()

    def _weighted_classes(self, loss_cls: Cfg) -> tuple[Cfg, float]:
        """The config of the loss with a weight a class, and the weight of background."""
        weight = loss_cls.get("class_weight")
        background = loss_cls.get("bg_cls_weight", weight)
        loss_cls = {key: value for key, value in loss_cls.items() if key != "bg_cls_weight"}
        if weight is None:
            return loss_cls, 0.0
        if not isinstance(weight, (int, float)) or not isinstance(background, (int, float)):
            raise BuildError(
                f"class_weight and bg_cls_weight of {type(self).__name__} must be numbers, "
                f"got {weight!r} and {background!r}"
            )
        return {**loss_cls, "class_weight": [weight] * self.num_classes + [background]}, float(background)

    def _init_layers(self) -> None:
        self.fc_cls = nn.Linear(self.embed_dims, self.cls_out_channels)
        self.activate = nn.ReLU()
        self.reg_ffn = FFN(self.embed_dims, self.embed_dims, self.num_reg_fcs, add_identity=False)
        self.fc_reg: Any = nn.Linear(self.embed_dims, 4)

    def forward(self, hidden_states: Tensor, references: Any = None) -> tuple[Tensor, Tensor]:
        """Logits and boxes of some layers' queries.

        Args:
            hidden_states: (L, B, Q, D).
            references: What boxes start from, in heads that refine boxes.

        Returns:
            Logits (L, B, Q, C), with background last where classes are not sigmoid; and boxes (L, B, Q, 4)
            as cx, cy, w, h from 0 to 1.
        """
        boxes = self.fc_reg(self.activate(self.reg_ffn(hidden_states))).sigmoid()
        return self.fc_cls(hidden_states), boxes

    def last_layer(self, hidden_states: Tensor, references: Any = None) -> tuple[Tensor, Tensor]:
        """Logits (B, Q, C) and boxes (B, Q, 4) of the last layer; see `forward`."""
        scores, boxes = self(hidden_states[-1:], references)
        return scores[-1], boxes[-1]

    def loss(
        self,
        hidden_states: Tensor,
        batch_data_samples: Sequence[DetDataSample],
        references: Any = None,
        **extra: Any,
    ) -> dict[str, Tensor]:
        """Losses of a batch: those of the last layer, and with the prefix ``d{i}.`` of the others.

        Args:
            hidden_states: (L, B, Q, D).
            batch_data_samples: Ground truth, an item an image.
            references: See `forward`.
            **extra: For `loss_by_feat`.
        """
        gts, _, metas = unpack_gt_instances(batch_data_samples)
        scores, boxes = self(hidden_states, references)
        return self.loss_by_feat(scores, boxes, gts, metas, **extra)

    def loss_by_feat(
        self, all_layers_cls_scores: Tensor, all_layers_bbox_preds: Tensor, gts: Gts, metas: Metas, **_: Any
    ) -> dict[str, Tensor]:
        """Losses by name.

        Args:
            all_layers_cls_scores: (L, B, Q, C).
            all_layers_bbox_preds: (L, B, Q, 4).
            gts: ``bboxes`` and ``labels`` of each image.
            metas: ``img_shape`` of each image.
        """
        return named_by_layer(self.matched_losses(all_layers_cls_scores, all_layers_bbox_preds, gts, metas))

    def matched_losses(
        self, scores: Tensor, boxes: Tensor, gts: Gts, metas: Metas, valid: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses of classes, boxes and overlaps of each layer, (L,) each, after matching.

        Args:
            scores: (L, B, Q, C).
            boxes: (L, B, Q, 4).
            gts: ``bboxes`` and ``labels`` of each image.
            metas: ``img_shape`` of each image.
            valid: Which queries count, (L, B, Q) bool; None: all.
        """
        scores, boxes = scores.float(), boxes.float()
        scale = image_scales(metas, boxes)
        pixels = bbox_cxcywh_to_xyxy(boxes.detach()) * scale[:, None]
        matches = self.assigner.match(scores.detach(), pixels, gts, metas, valid)
        num_neg = scores.size(1) * scores.size(2) - matches.pred.size(1)
        return self.losses_of_matches(scores, boxes, matches, num_neg, gts, metas, valid)

    def losses_of_matches(
        self,
        scores: Tensor,
        boxes: Tensor,
        matches: Matches,
        num_neg: int,
        gts: Gts,
        metas: Metas,
        valid: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The losses of given matches.

        Args:
            scores: (L, B, Q, C).
            boxes: (L, B, Q, 4).
            matches: Which prediction is which ground truth; the others are background.
            num_neg: How many of them count as background in what the loss of classes is divided by.
            gts: ``bboxes`` and ``labels`` of each image.
            metas: ``img_shape`` of each image.
            valid: Which queries count for the loss of classes, (L, B, Q) bool; None: all.
        """
        layers, num_pos = matches.pred.shape
        scale = image_scales(metas, boxes)
        counts = torch.tensor([len(gt.labels) for gt in gts])
        owner = torch.repeat_interleave(torch.arange(len(gts)), counts).to(boxes.device)
        pixels = scale[owner][matches.gt].flatten(0, 1)  # (L·P, 4)
        targets = torch.cat([gt.bboxes for gt in gts]).float()[matches.gt].flatten(0, 1)
        target_boxes = bbox_xyxy_to_cxcywh(targets / pixels)
        index = matches.pred.unsqueeze(-1).expand(-1, -1, 4)
        found = boxes.flatten(1, 2).gather(1, index).flatten(0, 1)  # (L·P, 4)
        corners = bbox_cxcywh_to_xyxy(found) * pixels

        divisor = self._mean_over_ranks(num_pos, boxes) + _EPS
        loss_bbox = self.loss_bbox(found, target_boxes, reduction_override="none")
        loss_iou = self.loss_iou(
            corners, bbox_cxcywh_to_xyxy(target_boxes) * pixels, reduction_override="none"
        )
        labels = torch.cat([gt.labels for gt in gts])[matches.gt]
        quality = None
        if isinstance(self.loss_cls, QualityFocalLoss):
            quality = bbox_overlaps(
                bbox_cxcywh_to_xyxy(found.detach()), bbox_cxcywh_to_xyxy(target_boxes), is_aligned=True
            ).view(layers, num_pos)
        return (
            self._loss_of_classes(scores, matches.pred, labels, quality, num_neg, valid),
            _sum_by_layer(loss_bbox, layers) / divisor,
            _sum_by_layer(loss_iou, layers) / divisor,
        )

    def _loss_of_classes(
        self,
        scores: Tensor,
        pos: Tensor,
        labels: Tensor,
        quality: Tensor | None,
        num_neg: int,
        valid: Tensor | None,
    ) -> Tensor:
        """The loss of classes of each layer, (L,).

        Args:
            scores: (L, B, Q, C).
            pos: Predictions that are objects, (L, P) int64.
            labels: Their classes, (L, P) int64.
            quality: Their overlaps with the ground truth, for losses that take them, (L, P).
            num_neg: See `losses_of_matches`.
            valid: See `losses_of_matches`.
        """
        layers = scores.size(0)
        total = scores.size(1) * scores.size(2)
        factor: Any = pos.size(1) + num_neg * self.bg_cls_weight
        factor = self._mean_over_ranks(factor, scores) if self.sync_cls_avg_factor else max(factor, 1.0)
        targets: Any = labels.new_full((layers, total), self.num_classes).scatter_(1, pos, labels)
        if quality is not None:
            qualities = quality.new_zeros(layers, total).scatter_(1, pos, quality)
            targets = zip(targets, qualities, strict=True)
        weights = [None] * layers if valid is None else valid.flatten(1).to(scores)
        losses = [
            self.loss_cls(one, target, weight, avg_factor=factor)
            for one, target, weight in zip(scores.flatten(1, 2), targets, weights, strict=True)
        ]
        return torch.stack(losses)

    @staticmethod
    def _mean_over_ranks(count: float, like: Tensor) -> Any:
        """A count, averaged over all processes, at least 1."""
        if not is_distributed():
            return max(count, 1.0)
        return reduce_mean(like.new_tensor(count)).clamp(min=1)

    def predict(
        self,
        hidden_states: Tensor,
        batch_data_samples: Sequence[DetDataSample],
        references: Any = None,
        rescale: bool = True,
        **_: Any,
    ) -> list[InstanceData]:
        """Detections, an item an image.

        Args:
            hidden_states: (L, B, Q, D).
            batch_data_samples: Their metainfo is looked at.
            references: See `forward`.
            rescale: Give boxes in pixels of the original image.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(*self.last_layer(hidden_states, references), metas, rescale=rescale)

    @torch.no_grad()
    def predict_by_feat(
        self, cls_scores: Tensor, bbox_preds: Tensor, batch_img_metas: Metas, rescale: bool = True
    ) -> list[InstanceData]:
        """The best detections of each image, all images at once.

        Args:
            cls_scores: (B, Q, C).
            bbox_preds: (B, Q, 4).
            batch_img_metas: ``img_shape``, and ``scale_factor`` where `rescale` is set.
            rescale: Give boxes in pixels of the original image.

        Returns:
            `bboxes` (K, 4), `scores` (K,) and `labels` (K,) int64, best first.
        """
        scores, labels, queries = self._best(cls_scores.float())
        boxes = bbox_preds.float().gather(1, queries.unsqueeze(-1).expand(-1, -1, 4))
        scale = image_scales(batch_img_metas, boxes)[:, None]
        boxes = (bbox_cxcywh_to_xyxy(boxes) * scale).clamp(min=0).minimum(scale)
        if rescale:
            factors = [meta["scale_factor"] for meta in batch_img_metas]
            boxes = boxes / boxes.new_tensor([(*factor, *factor) for factor in factors])[:, None]
        return [
            InstanceData(bboxes=box, scores=score, labels=label)
            for box, score, label in zip(boxes, scores, labels, strict=True)
        ]

    def _best(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, classes and queries (B, K) of the best detections; of a softmax, one a query."""
        most = (self.test_cfg or {}).get("max_per_img", logits.size(1))
        if self.use_sigmoid_cls:
            scores, places = logits.sigmoid().flatten(1).topk(min(most, logits[0].numel()))
            return scores, places % self.num_classes, places // self.num_classes
        scores, labels = logits.softmax(-1)[..., :-1].max(-1)
        scores, queries = scores.topk(min(most, scores.size(1)))
        return scores, labels.gather(1, queries), queries


def named_by_layer(losses: tuple[Tensor, Tensor, Tensor], kind: str = "") -> dict[str, Tensor]:
    """Losses by name: ``loss_cls``, ``loss_bbox`` and ``loss_iou`` of the last layer, ``d{i}.*`` of others.

    Args:
        losses: Of classes, boxes and overlaps, (L,) each.
        kind: Put before ``loss``, as 'dn_'.
    """
    named: dict[str, Tensor] = {}
    layers = len(losses[0])
    for layer in (layers - 1, *range(layers - 1)):
        prefix = kind if layer == layers - 1 else f"d{layer}.{kind}"
        for name, values in zip(("loss_cls", "loss_bbox", "loss_iou"), losses, strict=True):
            named[prefix + name] = values[layer]
    return named


def _sum_by_layer(loss: Tensor, layers: int) -> Tensor:
    """The sums of a loss (L·P, ...) over the matches of each layer, (L,)."""
    return loss.unflatten(0, (layers, -1) if len(loss) else (layers, 0)).flatten(1).sum(1)
