"""Classes and boxes of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.utils import _pair

from toolkit.detection.models.layers import batched_nms
from toolkit.detection.models.losses import accuracy
from toolkit.detection.models.roi_heads.bbox_heads.refinement import BoxRefinement
from toolkit.detection.models.task_modules import SamplingResult
from toolkit.detection.models.utils import scale_boxes
from toolkit.detection.registry import MODELS, TASK_UTILS
from toolkit.model import BaseModule
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfg = dict[str, Any]
Targets = tuple[Any, Any, Any, Any]
_CODER = {
    "type": "DeltaXYWHBBoxCoder",
    "clip_border": True,
    "target_means": [0.0, 0.0, 0.0, 0.0],
    "target_stds": [0.1, 0.1, 0.2, 0.2],
}
_LOSS_CLS = {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0}
_LOSS_BBOX = {"type": "SmoothL1Loss", "beta": 1.0, "loss_weight": 1.0}


@MODELS.register_module()
class BBoxHead(BoxRefinement, BaseModule):
    """Classifies regions and regresses boxes from them, each by one linear layer.

    State-dict keys: ``fc_cls.*``, ``fc_reg.*``. Shapes: R regions, C classes.

    Args:
        with_avg_pool: Average the features of a region before the linear layers.
        with_cls: Whether it classifies.
        with_reg: Whether it regresses.
        roi_feat_size: Height and width of the features of a region.
        in_channels: Their channels.
        num_classes: Without background.
        bbox_coder: Config of the box coder.
        predict_box_type: Accepted for configs of MMDetection; boxes are tensors here.
        reg_class_agnostic: One box a region, not one a class.
        reg_decoded_bbox: The loss of boxes is of decoded boxes, not of offsets.
        reg_predictor_cfg: Config of the layer that regresses.
        cls_predictor_cfg: Config of the layer that classifies.
        loss_cls: Config of the loss of classes.
        loss_bbox: Config of the loss of boxes.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: It neither classifies nor regresses.
    """

    def __init__(
        self,
        with_avg_pool: bool = False,
        with_cls: bool = True,
        with_reg: bool = True,
        roi_feat_size: int | tuple[int, int] = 7,
        in_channels: int = 256,
        num_classes: int = 80,
        bbox_coder: Cfg = _CODER,
        predict_box_type: str = "hbox",
        reg_class_agnostic: bool = False,
        reg_decoded_bbox: bool = False,
        reg_predictor_cfg: Cfg = {"type": "Linear"},  # noqa: B006 - read only
        cls_predictor_cfg: Cfg = {"type": "Linear"},  # noqa: B006 - read only
        loss_cls: Cfg = _LOSS_CLS,
        loss_bbox: Cfg = _LOSS_BBOX,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        if not (with_cls or with_reg):
            raise BuildError("a box head classifies or regresses, or both: set with_cls or with_reg")
        self.with_avg_pool, self.with_cls, self.with_reg = with_avg_pool, with_cls, with_reg
        self.roi_feat_size: tuple[int, int] = _pair(roi_feat_size)
        self.roi_feat_area = self.roi_feat_size[0] * self.roi_feat_size[1]
        self.in_channels, self.num_classes = in_channels, num_classes
        self.predict_box_type = predict_box_type
        self.reg_class_agnostic, self.reg_decoded_bbox = reg_class_agnostic, reg_decoded_bbox
        self.reg_predictor_cfg, self.cls_predictor_cfg = reg_predictor_cfg, cls_predictor_cfg
        self.bbox_coder = TASK_UTILS.build(bbox_coder)
        self.loss_cls = MODELS.build(loss_cls)
        self.loss_bbox = MODELS.build(loss_bbox)
        if with_avg_pool:
            self.avg_pool = nn.AvgPool2d(self.roi_feat_size)
        self._add_layers()
        if init_cfg is None:
            stds = (("fc_cls", 0.01, with_cls), ("fc_reg", 0.001, with_reg))
            self.init_cfg = [
                {"type": "Normal", "std": std, "override": {"name": name}} for name, std, used in stds if used
            ]

    @property
    def custom_cls_channels(self) -> bool:
        """Whether the loss of classes says how many logits it takes (``get_cls_channels``)."""
        return getattr(self.loss_cls, "custom_cls_channels", False)

    @property
    def custom_accuracy(self) -> bool:
        """Whether the loss of classes measures its accuracy itself (``get_accuracy``)."""
        return getattr(self.loss_cls, "custom_accuracy", False)

    def _add_layers(self) -> None:
        features = self.in_channels * (1 if self.with_avg_pool else self.roi_feat_area)
        self._add_predictors(features, features)

    def _add_predictors(self, cls_features: int, reg_features: int) -> None:
        """Make ``fc_cls`` and ``fc_reg`` for so many features."""
        if self.with_cls:
            custom = self.custom_cls_channels
            out = self.loss_cls.get_cls_channels(self.num_classes) if custom else self.num_classes + 1
            self.fc_cls = MODELS.build(
                {**self.cls_predictor_cfg, "in_features": cls_features, "out_features": out}
            )
        if self.with_reg:
            out = self.bbox_coder.encode_size * (1 if self.reg_class_agnostic else self.num_classes)
            self.fc_reg = MODELS.build(
                {**self.reg_predictor_cfg, "in_features": reg_features, "out_features": out}
            )

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Logits (R, C + 1) and regressions (R, C·4) of features (R, in_channels, h, w)."""
        x = self.avg_pool(x) if self.with_avg_pool else x
        x = x.flatten(1)
        return self.fc_cls(x) if self.with_cls else None, self.fc_reg(x) if self.with_reg else None

    @torch.no_grad()
    def get_targets(
        self, sampling_results: Sequence[SamplingResult], rcnn_train_cfg: Cfg, concat: bool = True
    ) -> Targets:
        """What the sampled regions are to become.

        Args:
            sampling_results: Of each image.
            rcnn_train_cfg: ``pos_weight``.
            concat: All images in one, or a list of images each.

        Returns:
            Labels (R,) int64, where the number of classes is background; their weights (R,); regressions (R,
            4); their weights (R, 4). In an image objects come first.
        """
        pos_weight = rcnn_train_cfg.get("pos_weight", -1)
        targets = [
            self._targets_of(result, pos_weight if pos_weight > 0 else 1.0) for result in sampling_results
        ]
        columns = tuple(zip(*targets, strict=True))
        return tuple(torch.cat(one) if concat else list(one) for one in columns)  # type: ignore[return-value]

    def _targets_of(self, result: SamplingResult, pos_weight: float) -> Targets:
        """The targets of one image: its objects, then its background."""
        num_neg = len(result.neg_inds)
        boxes = result.pos_gt_bboxes
        if not self.reg_decoded_bbox:
            boxes = self.bbox_coder.encode(result.pos_priors, boxes)
        pad = (0, 0, 0, num_neg)  # rows of zeros for the background
        label_weights = F.pad(boxes.new_full((len(boxes),), pos_weight), (0, num_neg), value=1.0)
        return (
            F.pad(result.pos_gt_labels, (0, num_neg), value=self.num_classes),
            label_weights,
            F.pad(boxes, pad),
            F.pad(torch.ones_like(boxes), pad),
        )

    def loss_and_target(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        sampling_results: Sequence[SamplingResult],
        rcnn_train_cfg: Cfg,
        concat: bool = True,
        reduction_override: str | None = None,
    ) -> dict[str, Any]:
        """Losses of the sampled regions.

        Args:
            cls_score: Logits, (R, C + 1).
            bbox_pred: Regressions, (R, C·4) or (R, 4).
            rois: (R, 5), as image index, x1, y1, x2, y2.
            sampling_results: Of each image.
            rcnn_train_cfg: ``pos_weight``.
            concat: See `get_targets`.
            reduction_override: In place of the losses' own reduction.

        Returns:
            `loss_bbox`: losses by name; `bbox_targets`: what `get_targets` gave.
        """
        targets = self.get_targets(sampling_results, rcnn_train_cfg, concat=concat)
        # Where objects stand is known without asking the device.
        places, start = [], 0
        for result in sampling_results:
            places.append(torch.arange(start, start + len(result.pos_inds), device=rois.device))
            start += len(result.pos_inds) + len(result.neg_inds)
        losses = self.loss(
            cls_score,
            bbox_pred,
            rois,
            *targets,
            reduction_override=reduction_override,
            pos_inds=torch.cat(places),
        )
        return {"loss_bbox": losses, "bbox_targets": targets}

    def loss(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
        pos_inds: Tensor | None = None,
    ) -> dict[str, Any]:
        """Losses from targets.

        Args:
            cls_score: Logits, (R, C + 1).
            bbox_pred: Regressions, (R, C·4) or (R, 4).
            rois: (R, 5).
            labels: (R,).
            label_weights: (R,).
            bbox_targets: (R, 4).
            bbox_weights: (R, 4).
            reduction_override: In place of the losses' own reduction.
            pos_inds: Rows that are objects, (P,); found from the labels without it, which waits for the
                device.

        Returns:
            ``loss_cls`` and ``acc`` (percent), ``loss_bbox``; all divided by numbers of regions.
        """
        losses: dict[str, Any] = {}
        if cls_score is not None and cls_score.numel():
            avg_factor = (label_weights > 0).sum().clamp(min=1)
            loss = self.loss_cls(
                cls_score,
                labels,
                label_weights,
                avg_factor=avg_factor,
                reduction_override=reduction_override,
            )
            losses.update(loss if isinstance(loss, dict) else {"loss_cls": loss})
            if self.custom_activation:
                losses.update(self.loss_cls.get_accuracy(cls_score, labels))
            else:
                losses["acc"] = accuracy(cls_score, labels)
        if bbox_pred is not None:
            if pos_inds is None:
                pos_inds = ((labels >= 0) & (labels < self.num_classes)).nonzero().squeeze(1)
            pred = self._boxes_of_class(bbox_pred, pos_inds, labels[pos_inds])
            if self.reg_decoded_bbox:
                pred = self.bbox_coder.decode(rois[pos_inds, 1:], pred)
            losses["loss_bbox"] = self.loss_bbox(
                pred,
                bbox_targets[pos_inds],
                bbox_weights[pos_inds],
                avg_factor=bbox_targets.size(0),
                reduction_override=reduction_override,
            )
        return losses

    def _boxes_of_class(self, bbox_pred: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        """The regressions (K, 4) of some rows (K,), of the class that each has (K,)."""
        if self.reg_class_agnostic:
            return bbox_pred[rows]
        return bbox_pred.unflatten(1, (self.num_classes, self.bbox_coder.encode_size))[rows, labels]

    @torch.no_grad()
    def predict_by_feat(
        self,
        rois: Sequence[Tensor],
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor] | Sequence[None],
        batch_img_metas: Sequence[Mapping[str, Any]],
        rcnn_test_cfg: Cfg | None = None,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Detections, an item an image.

        Args:
            rois: (R, 5) each.
            cls_scores: Logits, (R, C + 1) each.
            bbox_preds: Regressions, (R, C·4) or (R, 4) each, or None.
            batch_img_metas: ``img_shape``, and ``scale_factor`` where `rescale` is set.
            rcnn_test_cfg: ``score_thr``, ``nms``, ``max_per_img``. None: all boxes with all scores.
            rescale: Give boxes in pixels of the original image.

        Returns:
            `bboxes` (K, 4), `scores` (K,) and `labels` (K,) int64, best first; without `rcnn_test_cfg`
            `bboxes` (R, C·4) and `scores` (R, C + 1).
        """
        return [
            self._predict_by_feat_single(*image, rescale=rescale, rcnn_test_cfg=rcnn_test_cfg)
            for image in zip(rois, cls_scores, bbox_preds, batch_img_metas, strict=True)
        ]

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor | None,
        img_meta: Mapping[str, Any],
        rescale: bool = False,
        rcnn_test_cfg: Cfg | None = None,
    ) -> InstanceData:
        scores = self._scores(cls_score.float())
        if rcnn_test_cfg is None:
            boxes = self._decode(roi[:, 1:], bbox_pred, img_meta, rescale)
            return InstanceData(bboxes=boxes, scores=scores)
        # Few of all boxes pass the threshold; only they are decoded.
        rows, labels = (scores[:, :-1] > rcnn_test_cfg["score_thr"]).nonzero().unbind(1)
        chosen = None if bbox_pred is None else self._boxes_of_class(bbox_pred, rows, labels)
        boxes = self._decode(roi[rows, 1:], chosen, img_meta, rescale)
        dets, keep = batched_nms(boxes, scores[rows, labels], labels, rcnn_test_cfg["nms"])
        most = rcnn_test_cfg.get("max_per_img", -1)
        if most > 0:
            dets, keep = dets[:most], keep[:most]
        return InstanceData(bboxes=dets[:, :4], scores=dets[:, 4], labels=labels[keep])

    def _scores(self, cls_score: Tensor) -> Tensor:
        """Scores (R, C + 1) of logits."""
        return self.loss_cls.get_activation(cls_score) if self.custom_activation else cls_score.softmax(-1)

    def bbox_pred_split(self, bbox_pred: Any, num_proposals_per_img: Sequence[int]) -> Sequence[Any]:
        """The regressions of each image, of those of all; None of each, where there are none."""
        if bbox_pred is None:
            return [None] * len(num_proposals_per_img)
        return bbox_pred.split(list(num_proposals_per_img))

    def _decode(
        self, priors: Tensor, regressions: Tensor | None, img_meta: Mapping[str, Any], rescale: bool
    ) -> Tensor:
        """Boxes (K, 4·n) in the image, of regions (K, 4) and regressions (K, 4·n)."""
        height, width = img_meta["img_shape"][:2]
        if regressions is None:
            limit = priors.new_tensor([width, height, width, height])
            boxes = torch.minimum(priors.clamp(min=0), limit)
        else:
            boxes = self.bbox_coder.decode(priors, regressions.float(), max_shape=(height, width))
        if not rescale:
            return boxes
        scale = [1 / s for s in img_meta["scale_factor"]]
        return scale_boxes(boxes.reshape(-1, 4), scale).reshape(boxes.shape)
