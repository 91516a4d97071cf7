"""The RoI head of Faster and Mask R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.roi_heads.base_roi_head import BaseRoIHead, Cfg, Metas
from toolkit.detection.models.task_modules import SamplingResult, build_assigner, build_sampler
from toolkit.detection.models.utils import bbox2roi
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData


@MODELS.register_module()
class StandardRoIHead(BaseRoIHead):
    """Pools the features of proposals, classifies them and regresses boxes, once; then masks of objects.

    Arguments: `BaseRoIHead`. State-dict keys: ``shared_head.*``, ``bbox_head.*``, ``mask_head.*``.
    """

    def init_bbox_head(self, bbox_roi_extractor: Cfg, bbox_head: Cfg) -> None:
        """See `BaseRoIHead`."""
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = MODELS.build(bbox_head)

    def init_mask_head(self, mask_roi_extractor: Cfg | None, mask_head: Cfg) -> None:
        """See `BaseRoIHead`."""
        self.share_roi_extractor = mask_roi_extractor is None
        self.mask_roi_extractor = (
            self.bbox_roi_extractor if mask_roi_extractor is None else MODELS.build(mask_roi_extractor)
        )
        self.mask_head = MODELS.build(mask_head)

    def init_assigner_sampler(self) -> None:
        """See `BaseRoIHead`."""
        if self.train_cfg is not None:
            self.bbox_assigner = build_assigner(self.train_cfg["assigner"])
            self.bbox_sampler = build_sampler(self.train_cfg["sampler"], context=self)

    def forward(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample] | None = None,
    ) -> tuple[Tensor | None, ...]:
        """Logits and regressions of all proposals, and of the first hundred masks, without processing."""
        rois = bbox2roi([result.bboxes for result in rpn_results_list])
        outs: tuple[Tensor | None, ...] = ()
        if self.with_bbox:
            results = self._bbox_forward(x, rois)
            outs = (results["cls_score"], results["bbox_pred"])
        if self.with_mask:
            outs = (*outs, self._mask_forward(x, rois[:100])["mask_preds"])
        return outs

    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """``loss_cls``, ``acc`` and ``loss_bbox``, and ``loss_mask`` with a mask head; see `BaseRoIHead`."""
        sampled = self.sample(x, rpn_results_list, batch_data_samples)
        losses: dict[str, Any] = {}
        feats = None
        if self.with_bbox:
            results = self.bbox_loss(x, sampled)
            losses.update(results["loss_bbox"])
            feats = results["bbox_feats"]
        if self.with_mask:
            gts = [sample.gt_instances for sample in batch_data_samples]
            losses.update(self.mask_loss(x, sampled, feats, gts)["loss_mask"])
        return losses

    def _bbox_forward(self, x: Sequence[Tensor], rois: Tensor) -> dict[str, Any]:
        """Logits, regressions and features of regions (R, 5)."""
        feats = self.bbox_roi_extractor(x[: self.bbox_roi_extractor.num_inputs], rois)
        if self.with_shared_head:
            feats = self.shared_head(feats)
        cls_score, bbox_pred = self.bbox_head(feats)
        return {"cls_score": cls_score, "bbox_pred": bbox_pred, "bbox_feats": feats}

    def bbox_loss(self, x: Sequence[Tensor], sampling_results: list[SamplingResult]) -> dict[str, Any]:
        """Losses of the regions that were sampled.

        Args:
            x: Feature maps.
            sampling_results: Of each image.

        Returns:
            What the network gave for them, `bbox_targets`, and `loss_bbox`: losses by name.
        """
        assert self.train_cfg is not None, "a head needs train_cfg to train"
        rois = bbox2roi([result.priors for result in sampling_results])
        results = self._bbox_forward(x, rois)
        losses = self.bbox_head.loss_and_target(
            cls_score=results["cls_score"],
            bbox_pred=results["bbox_pred"],
            rois=rois,
            sampling_results=sampling_results,
            rcnn_train_cfg=self.train_cfg,
        )
        return {**results, **losses}

    def _mask_forward(
        self,
        x: Sequence[Tensor],
        rois: Tensor | None = None,
        pos_inds: Tensor | None = None,
        bbox_feats: Tensor | None = None,
    ) -> dict[str, Any]:
        """Masks and features of regions (P, 5), or of some of the regions whose features are there."""
        if rois is None:
            assert bbox_feats is not None
            assert pos_inds is not None
            feats = bbox_feats[pos_inds]
        else:
            feats = self.mask_roi_extractor(x[: self.mask_roi_extractor.num_inputs], rois)
            if self.with_shared_head:
                feats = self.shared_head(feats)
        return {"mask_preds": self.mask_head(feats), "mask_feats": feats}

    def mask_loss(
        self,
        x: Sequence[Tensor],
        sampling_results: list[SamplingResult],
        bbox_feats: Tensor | None,
        batch_gt_instances: list[InstanceData],
    ) -> dict[str, Any]:
        """Losses of the masks of the objects that were sampled.

        Args:
            x: Feature maps.
            sampling_results: Of each image.
            bbox_feats: Features of all that was sampled, which masks share where they have no extractor.
            batch_gt_instances: ``masks`` of each image.

        Returns:
            What the network gave for them, and `loss_mask`: losses by name.
        """
        assert self.train_cfg is not None, "a head needs train_cfg to train"
        if self.share_roi_extractor:
            assert bbox_feats is not None
            results = self._mask_forward(
                x, pos_inds=pos_places(sampling_results, bbox_feats.device), bbox_feats=bbox_feats
            )
        else:
            results = self._mask_forward(x, bbox2roi([result.pos_priors for result in sampling_results]))
        losses = self.mask_head.loss_and_target(
            mask_preds=results["mask_preds"],
            sampling_results=sampling_results,
            batch_gt_instances=batch_gt_instances,
            rcnn_train_cfg=self.train_cfg,
        )
        return {**results, **losses}

    def predict_bbox(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        rpn_results_list: list[InstanceData],
        rcnn_test_cfg: Cfg | None,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """See `BaseRoIHead`."""
        proposals = [result.bboxes for result in rpn_results_list]
        rois = bbox2roi(proposals)
        results = self._bbox_forward(x, rois)
        counts = [len(boxes) for boxes in proposals]
        return self.bbox_head.predict_by_feat(
            rois=rois.split(counts),
            cls_scores=results["cls_score"].split(counts),
            bbox_preds=self.bbox_head.bbox_pred_split(results["bbox_pred"], counts),
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=rcnn_test_cfg,
            rescale=rescale,
        )

    def predict_mask(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """See `BaseRoIHead`."""
        rois = bbox2roi([result.bboxes for result in results_list])
        mask_preds = self._mask_forward(x, rois)["mask_preds"]
        return self.mask_head.predict_by_feat(
            mask_preds=mask_preds.split([len(result) for result in results_list]),
            results_list=results_list,
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
        )


def pos_places(sampling_results: Sequence[SamplingResult], device: torch.device) -> Tensor:
    """Where the objects stand among all that was sampled, (P,) int64, without asking the device."""
    places, start = [], 0
    for result in sampling_results:
        places.append(torch.arange(start, start + len(result.pos_inds), device=device))
        start += len(result.pos_inds) + len(result.neg_inds)
    return torch.cat(places)
