"""The RoI head of Faster R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from toolkit.detection.models.roi_heads.base_roi_head import BaseRoIHead
from toolkit.detection.models.task_modules import SamplingResult, build_assigner, build_sampler
from toolkit.detection.models.utils import bbox2roi, unpack_gt_instances
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData

Cfg = dict[str, Any]


@MODELS.register_module()
class StandardRoIHead(BaseRoIHead):
    """Pools the features of proposals, classifies them and regresses boxes, once.

    Arguments: `BaseRoIHead`. State-dict keys: ``bbox_head.*``.
    """

    def init_bbox_head(self, bbox_roi_extractor: Cfg, bbox_head: Cfg) -> None:
        """See `BaseRoIHead`."""
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = MODELS.build(bbox_head)

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
        """Logits and regressions of all proposals, without any processing after."""
        results = self._bbox_forward(x, bbox2roi([result.bboxes for result in rpn_results_list]))
        return results["cls_score"], results["bbox_pred"]

    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """``loss_cls``, ``acc`` and ``loss_bbox``; see `BaseRoIHead`."""
        sampled = self._sample(rpn_results_list, batch_data_samples)
        return self.bbox_loss(x, sampled)["loss_bbox"]

    def _sample(
        self, proposals: list[InstanceData], samples: Sequence[DetDataSample]
    ) -> list[SamplingResult]:
        """The proposals that train, of each image."""
        gts, ignored, _ = unpack_gt_instances(samples)
        results = []
        for proposal, gt, ignore in zip(proposals, gts, ignored, strict=True):
            priors = InstanceData(priors=proposal.bboxes)
            assigned = self.bbox_assigner.assign(priors, gt, ignore)
            results.append(self.bbox_sampler.sample(assigned, priors, gt))
        return results

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
            What the network gave for them, and `loss_bbox`: losses by name.
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
        return {**results, "loss_bbox": losses["loss_bbox"]}

    def predict(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """See `BaseRoIHead`."""
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_bbox(x, metas, rpn_results_list, self.test_cfg, rescale)

    def predict_bbox(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Sequence[dict[str, Any]],
        rpn_results_list: list[InstanceData],
        rcnn_test_cfg: Cfg | None,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Detections of proposals; see `BBoxHead.predict_by_feat`."""
        proposals = [result.bboxes for result in rpn_results_list]
        rois = bbox2roi(proposals)
        results = self._bbox_forward(x, rois)
        counts = [len(boxes) for boxes in proposals]
        bbox_pred = results["bbox_pred"]
        return self.bbox_head.predict_by_feat(
            rois=rois.split(counts),
            cls_scores=results["cls_score"].split(counts),
            bbox_preds=[None] * len(counts) if bbox_pred is None else bbox_pred.split(counts),
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=rcnn_test_cfg,
            rescale=rescale,
        )
