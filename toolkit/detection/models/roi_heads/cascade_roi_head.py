"""The RoI head of Cascade R-CNN."""

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
from toolkit.model import ModuleList
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

Cfgs = Sequence[Cfg] | Cfg


@MODELS.register_module()
class CascadeRoIHead(BaseRoIHead):
    """Heads in a row, each of which takes the boxes of the one before it as its regions.

    From "Cascade R-CNN: Delving into High Quality Object Detection" (Cai and Vasconcelos, 2017). State-dict
    keys: ``bbox_head.i.*``, ``mask_head.i.*``.

    Args:
        num_stages: How many.
        stage_loss_weights: Factors of the losses of each stage.
        bbox_roi_extractor: Config for all stages, or a list of them.
        bbox_head: Likewise.
        mask_roi_extractor: Likewise.
        mask_head: Likewise.
        shared_head: Only None.
        train_cfg: A list, one a stage.
        test_cfg: See `BaseRoIHead`.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: A list hasn't an item for each stage, or there is a shared head.
    """

    bbox_roi_extractor: Any
    bbox_head: Any
    mask_roi_extractor: Any
    mask_head: Any

    def __init__(
        self,
        num_stages: int,
        stage_loss_weights: Sequence[float],
        bbox_roi_extractor: Cfgs | None = None,
        bbox_head: Cfgs | None = None,
        mask_roi_extractor: Cfgs | None = None,
        mask_head: Cfgs | None = None,
        shared_head: Cfg | None = None,
        train_cfg: Sequence[Cfg] | None = None,
        test_cfg: Cfg | None = None,
        init_cfg: Any = None,
    ) -> None:
        if shared_head is not None:
            raise BuildError(f"{type(self).__name__} has no shared_head; take it away")
        self.num_stages = num_stages
        self.stage_loss_weights = stage_loss_weights
        super().__init__(
            bbox_roi_extractor, bbox_head, mask_roi_extractor, mask_head, None, train_cfg, test_cfg, init_cfg
        )

    def _stages(self, cfgs: Cfgs, name: str) -> list[Cfg]:
        """The config of each stage."""
        if isinstance(cfgs, dict):
            return [cfgs] * self.num_stages
        if len(cfgs) != self.num_stages:
            raise BuildError(f"{name} has {len(cfgs)} items, and num_stages is {self.num_stages}")
        return list(cfgs)

    def _modules_of(self, cfgs: Cfgs, name: str) -> ModuleList:
        return ModuleList(MODELS.build(cfg) for cfg in self._stages(cfgs, name))

    def init_bbox_head(self, bbox_roi_extractor: Cfgs, bbox_head: Cfgs) -> None:
        """See `BaseRoIHead`."""
        self.bbox_roi_extractor = self._modules_of(bbox_roi_extractor, "bbox_roi_extractor")
        self.bbox_head = self._modules_of(bbox_head, "bbox_head")

    def init_mask_head(self, mask_roi_extractor: Cfgs | None, mask_head: Cfgs) -> None:
        """See `BaseRoIHead`."""
        self.mask_head = self._modules_of(mask_head, "mask_head")
        self.share_roi_extractor = mask_roi_extractor is None
        self.mask_roi_extractor = (
            self.bbox_roi_extractor
            if mask_roi_extractor is None
            else self._modules_of(mask_roi_extractor, "mask_roi_extractor")
        )

    def init_assigner_sampler(self) -> None:
        """See `BaseRoIHead`."""
        self.bbox_assigner, self.bbox_sampler = [], []
        if self.train_cfg is None:
            return
        for stage, cfg in enumerate(self._stages(self.train_cfg, "train_cfg.rcnn")):
            self.current_stage = stage  # for samplers that look at the head
            self.bbox_assigner.append(build_assigner(cfg["assigner"]))
            self.bbox_sampler.append(build_sampler(cfg["sampler"], context=self))

    def _bbox_forward(self, stage: int, x: Sequence[Tensor], rois: Tensor, **kwargs: Any) -> dict[str, Any]:
        """Logits, regressions and features of regions (R, 5) in a stage."""
        extractor = self.bbox_roi_extractor[stage]
        feats = extractor(x[: extractor.num_inputs], rois)
        cls_score, bbox_pred = self.bbox_head[stage](feats)
        return {"cls_score": cls_score, "bbox_pred": bbox_pred, "bbox_feats": feats}

    def bbox_loss(
        self, stage: int, x: Sequence[Tensor], sampling_results: list[SamplingResult], **kwargs: Any
    ) -> dict[str, Any]:
        """Losses of boxes in a stage.

        Args:
            stage: Which.
            x: Feature maps.
            sampling_results: Of each image.
            **kwargs: Passed on to the forward pass.

        Returns:
            What the network gave, `rois` (R, 5), `bbox_targets` and `loss_bbox`: losses by name.
        """
        rois = bbox2roi([result.priors for result in sampling_results])
        results = self._bbox_forward(stage, x, rois, **kwargs)
        losses = self.bbox_head[stage].loss_and_target(
            cls_score=results["cls_score"],
            bbox_pred=results["bbox_pred"],
            rois=rois,
            sampling_results=sampling_results,
            rcnn_train_cfg=self.train_cfg[stage],
        )
        return {**results, "rois": rois, **losses}

    def _mask_forward(self, stage: int, x: Sequence[Tensor], rois: Tensor) -> dict[str, Any]:
        """Masks of regions (P, 5) in a stage."""
        extractor = self.mask_roi_extractor[stage]
        return {"mask_preds": self.mask_head[stage](extractor(x[: extractor.num_inputs], rois))}

    def mask_loss(
        self,
        stage: int,
        x: Sequence[Tensor],
        sampling_results: list[SamplingResult],
        batch_gt_instances: list[InstanceData],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Losses of masks in a stage, as `loss_mask`; arguments as `bbox_loss`."""
        rois = bbox2roi([one.pos_priors for one in sampling_results])
        results = self._mask_forward(stage, x, rois, **kwargs)
        losses = self.mask_head[stage].loss_and_target(
            mask_preds=results["mask_preds"],
            sampling_results=sampling_results,
            batch_gt_instances=batch_gt_instances,
            rcnn_train_cfg=self.train_cfg[stage],
        )
        return {**results, **losses}

    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """The losses of each stage, as ``s0.loss_cls`` and so on; see `BaseRoIHead`."""
        gts = [sample.gt_instances for sample in batch_data_samples]
        metas = [sample.metainfo for sample in batch_data_samples]
        losses: dict[str, Any] = {}
        regions = rpn_results_list
        for stage in range(self.num_stages):
            self.current_stage = stage
            sampled = self.sample(
                x, regions, batch_data_samples, self.bbox_assigner[stage], self.bbox_sampler[stage]
            )
            results = self.bbox_loss(stage, x, sampled)
            found = dict(results["loss_bbox"])
            if self.with_mask:
                found.update(self.mask_loss(stage, x, sampled, gts)["loss_mask"])
            losses.update(self._weighted(stage, found))
            if stage < self.num_stages - 1:
                refined = self.bbox_head[stage].refine_bboxes(sampled, results, metas)
                if refined is None:
                    break
                regions = refined
        return losses

    def _weighted(self, stage: int, found: dict[str, Any]) -> dict[str, Any]:
        """The losses of a stage by its name, with its weight; what isn't a loss stays as it is."""
        weight = self.stage_loss_weights[stage]
        return {
            f"s{stage}.{name}": value * weight if "loss" in name else value for name, value in found.items()
        }

    def predict_bbox(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        rpn_results_list: list[InstanceData],
        rcnn_test_cfg: Cfg | None,
        rescale: bool = False,
        **kwargs: Any,
    ) -> list[InstanceData]:
        """Boxes of the last stage, with logits averaged over all; see `BaseRoIHead`."""
        proposals = [result.bboxes for result in rpn_results_list]
        counts = [len(boxes) for boxes in proposals]
        rois, cls_score, bbox_pred = self._refine_roi(x, bbox2roi(proposals), batch_img_metas, **kwargs)
        return self.bbox_head[-1].predict_by_feat(
            rois=rois.split(counts),
            cls_scores=cls_score.split(counts),
            bbox_preds=self.bbox_head[-1].bbox_pred_split(bbox_pred, counts),
            batch_img_metas=batch_img_metas,
            rescale=rescale,
            rcnn_test_cfg=rcnn_test_cfg,
        )

    def _refine_roi(
        self, x: Sequence[Tensor], rois: Tensor, batch_img_metas: Metas, **kwargs: Any
    ) -> tuple[Tensor, Tensor, Any]:
        """The regions (R, 5) of the last stage, mean logits (R, C + 1), and the last stage's regressions."""
        logits = []
        results: dict[str, Any] = {}
        for stage in range(self.num_stages):
            if stage:
                rois = self.bbox_head[stage - 1].refine_rois(
                    rois, results["cls_score"], results["bbox_pred"], batch_img_metas
                )
            results = self._bbox_forward(stage, x, rois, **kwargs)
            logits.append(results["cls_score"])
        return rois, sum(logits) / len(logits), results["bbox_pred"]

    def _mean_masks(self, x: Sequence[Tensor], rois: Tensor) -> Tensor:
        """Probabilities of masks (P, C, h, w) of regions (P, 5), averaged over all stages."""
        masks = [self._mask_forward(stage, x, rois)["mask_preds"] for stage in range(self.num_stages)]
        return torch.stack([mask.float().sigmoid() for mask in masks]).mean(dim=0)

    def predict_mask(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """See `BaseRoIHead`."""
        masks = self._mean_masks(x, bbox2roi([result.bboxes for result in results_list]))
        return self.mask_head[-1].predict_by_feat(
            mask_preds=masks.split([len(result) for result in results_list]),
            results_list=results_list,
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
            activate_map=True,
        )

    def forward(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample] | None = None,
    ) -> tuple[Any, ...]:
        """Mean logits and the last regressions of all proposals, and mean masks, without processing."""
        metas = [sample.metainfo for sample in batch_data_samples or ()]
        rois = bbox2roi([result.bboxes for result in rpn_results_list])
        rois, cls_score, bbox_pred = self._refine_roi(x, rois, metas)
        outs: tuple[Any, ...] = (cls_score, bbox_pred)
        return (*outs, self._mean_masks(x, rois)) if self.with_mask else outs
