"""The RoI head of Hybrid Task Cascade."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from toolkit.detection.models.roi_heads.base_roi_head import Cfg, Metas
from toolkit.detection.models.roi_heads.cascade_roi_head import CascadeRoIHead
from toolkit.detection.models.utils import bbox2roi
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError


@MODELS.register_module()
class HybridTaskCascadeRoIHead(CascadeRoIHead):
    """A cascade in which masks are trained on the boxes of their own stage, take the features of the mask
    head before them, and semantic features help both.

    From "Hybrid Task Cascade for Instance Segmentation" (Chen et al., 2019). State-dict keys:
    ``semantic_head.*`` beside those of `CascadeRoIHead`.

    Args:
        num_stages: See `CascadeRoIHead`.
        stage_loss_weights: See `CascadeRoIHead`.
        semantic_roi_extractor: Config of what pools semantic features.
        semantic_head: Config of what makes them; without it there are none.
        semantic_fusion: Which of 'bbox' and 'mask' they are added to.
        interleaved: Masks train on the boxes of their own stage, not on its regions.
        mask_info_flow: Mask heads take the features of the ones before.
        **kwargs: Those of `CascadeRoIHead`.

    Raises:
        BuildError: There is no box head.
    """

    def __init__(
        self,
        num_stages: int,
        stage_loss_weights: Sequence[float],
        semantic_roi_extractor: Cfg | None = None,
        semantic_head: Cfg | None = None,
        semantic_fusion: Sequence[str] = ("bbox", "mask"),
        interleaved: bool = True,
        mask_info_flow: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_stages=num_stages, stage_loss_weights=stage_loss_weights, **kwargs)
        if not self.with_bbox:
            raise BuildError(f"{type(self).__name__} needs a bbox_head")
        if semantic_head is not None:
            self.semantic_roi_extractor = MODELS.build(semantic_roi_extractor or {})
            self.semantic_head = MODELS.build(semantic_head)
        self.semantic_fusion = semantic_fusion
        self.interleaved = interleaved
        self.mask_info_flow = mask_info_flow

    @property
    def with_semantic(self) -> bool:
        """Whether there is a semantic head."""
        return hasattr(self, "semantic_head")

    def _fused(self, feats: Tensor, rois: Tensor, semantic: Tensor | None, name: str) -> Tensor:
        """The features of regions with the semantic ones, where `name` is among those that get them."""
        if semantic is None or name not in self.semantic_fusion:
            return feats
        pooled = self.semantic_roi_extractor([semantic], rois)
        if pooled.shape[-2:] != feats.shape[-2:]:
            pooled = F.adaptive_avg_pool2d(pooled, (feats.size(-2), feats.size(-1)))
        return feats + pooled

    def _bbox_forward(
        self,
        stage: int,
        x: Sequence[Tensor],
        rois: Tensor,
        semantic_feat: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        extractor = self.bbox_roi_extractor[stage]
        feats = self._fused(extractor(x[: extractor.num_inputs], rois), rois, semantic_feat, "bbox")
        cls_score, bbox_pred = self.bbox_head[stage](feats)
        return {"cls_score": cls_score, "bbox_pred": bbox_pred, "bbox_feats": feats}

    def _mask_forward(
        self, stage: int, x: Sequence[Tensor], rois: Tensor, semantic_feat: Tensor | None = None
    ) -> dict[str, Any]:
        """Logits of masks of regions (P, 5) in a stage, after the stages before it."""
        extractor = self.mask_roi_extractor[stage]
        feats = self._fused(extractor(x[: extractor.num_inputs], rois), rois, semantic_feat, "mask")
        last = None
        if self.mask_info_flow:
            for head in list(self.mask_head)[:stage]:
                last = head(feats, last, return_logits=False)
        return {"mask_preds": self.mask_head[stage](feats, last, return_feat=False)}

    def _semantic(self, x: Sequence[Tensor]) -> tuple[Tensor | None, Tensor | None]:
        """Logits and features of the semantic head; None where there is none."""
        return self.semantic_head(x) if self.with_semantic else (None, None)

    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """``loss_semantic_seg`` and the losses of each stage; see `CascadeRoIHead`."""
        gts = [sample.gt_instances for sample in batch_data_samples]
        metas = [sample.metainfo for sample in batch_data_samples]
        losses: dict[str, Any] = {}
        logits, semantic = self._semantic(x)
        if logits is not None:
            classes = torch.stack([sample.gt_sem_seg.sem_seg for sample in batch_data_samples])
            losses["loss_semantic_seg"] = self.semantic_head.loss(logits, classes)
        regions = rpn_results_list
        for stage in range(self.num_stages):
            self.current_stage = stage
            how = (self.bbox_assigner[stage], self.bbox_sampler[stage])
            sampled = self.sample(x, regions, batch_data_samples, *how)
            results = self.bbox_loss(stage, x, sampled, semantic_feat=semantic)
            found = dict(results["loss_bbox"])
            masks_follow = self.with_mask and self.interleaved
            if masks_follow or stage < self.num_stages - 1:
                regions = self.bbox_head[stage].refine_bboxes(sampled, results, metas) or regions
            if masks_follow:
                sampled = self.sample(x, regions, batch_data_samples, *how)
            if self.with_mask:
                found.update(self.mask_loss(stage, x, sampled, gts, semantic_feat=semantic)["loss_mask"])
            losses.update(self._weighted(stage, found))
        return losses

    def predict(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """See `BaseRoIHead`."""
        metas = [sample.metainfo for sample in batch_data_samples]
        _, semantic = self._semantic(x)
        results = self.predict_bbox(
            x,
            metas,
            rpn_results_list,
            self.test_cfg,
            rescale=rescale and not self.with_mask,
            semantic_feat=semantic,
        )
        return self.predict_mask(x, metas, results, rescale, semantic) if self.with_mask else results

    def predict_mask(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        results_list: list[InstanceData],
        rescale: bool = False,
        semantic_feat: Tensor | None = None,
    ) -> list[InstanceData]:
        """Masks of the last stage; see `BaseRoIHead`."""
        rois = bbox2roi([result.bboxes for result in results_list])
        masks = self._mask_forward(self.num_stages - 1, x, rois, semantic_feat)["mask_preds"]
        return self.mask_head[-1].predict_by_feat(
            mask_preds=masks.split([len(result) for result in results_list]),
            results_list=results_list,
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
        )

    def forward(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample] | None = None,
    ) -> tuple[Any, ...]:
        """Mean logits and the last regressions of all proposals, and masks, without processing."""
        metas = [sample.metainfo for sample in batch_data_samples or ()]
        _, semantic = self._semantic(x)
        rois = bbox2roi([result.bboxes for result in rpn_results_list])
        rois, cls_score, bbox_pred = self._refine_roi(x, rois, metas, semantic_feat=semantic)
        if not self.with_mask:
            return cls_score, bbox_pred
        masks = self._mask_forward(self.num_stages - 1, x, rois, semantic)["mask_preds"]
        return cls_score, bbox_pred, masks.sigmoid()
