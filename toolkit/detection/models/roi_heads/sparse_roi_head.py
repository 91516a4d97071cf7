"""The RoI head of Sparse R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.roi_heads.base_roi_head import Cfg, Metas
from toolkit.detection.models.roi_heads.cascade_roi_head import CascadeRoIHead, Cfgs
from toolkit.detection.models.task_modules import PseudoSampler
from toolkit.detection.models.utils import bbox2roi, scale_boxes
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

_EXTRACTOR = {
    "type": "SingleRoIExtractor",
    "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 2},
    "out_channels": 256,
    "featmap_strides": [4, 8, 16, 32],
}


@MODELS.register_module()
class SparseRoIHead(CascadeRoIHead):
    """A cascade over a fixed set of objects, whose features go from stage to stage.

    From "Sparse R-CNN: End-to-End Object Detection with Learnable Proposals" (Sun et al., 2020). Shapes: B
    images with Q objects each.

    Args:
        num_stages: See `CascadeRoIHead`.
        stage_loss_weights: See `CascadeRoIHead`.
        proposal_feature_channel: Channels of the features of objects.
        bbox_roi_extractor: See `CascadeRoIHead`.
        mask_roi_extractor: See `CascadeRoIHead`.
        bbox_head: See `CascadeRoIHead`.
        mask_head: See `CascadeRoIHead`; it takes the features of objects too.
        train_cfg: See `CascadeRoIHead`; samplers must be `PseudoSampler`.
        test_cfg: ``max_per_img``, and ``mask_thr_binary`` with masks.
        init_cfg: See `BaseModule`.

    Raises:
        BuildError: A stage has no weight, or a sampler leaves something out.
    """

    def __init__(
        self,
        num_stages: int = 6,
        stage_loss_weights: Sequence[float] = (1, 1, 1, 1, 1, 1),
        proposal_feature_channel: int = 256,
        bbox_roi_extractor: Cfgs = _EXTRACTOR,
        mask_roi_extractor: Cfgs | None = None,
        bbox_head: Cfgs = {"type": "DIIHead"},  # noqa: B006 - read only
        mask_head: Cfgs | None = None,
        train_cfg: Sequence[Cfg] | None = None,
        test_cfg: Cfg | None = None,
        init_cfg: Any = None,
    ) -> None:
        if len(stage_loss_weights) != num_stages:
            raise BuildError(
                f"stage_loss_weights has {len(stage_loss_weights)} items for {num_stages} stages"
            )
        self.proposal_feature_channel = proposal_feature_channel
        super().__init__(
            num_stages,
            stage_loss_weights,
            bbox_roi_extractor=bbox_roi_extractor,
            bbox_head=bbox_head,
            mask_roi_extractor=mask_roi_extractor,
            mask_head=mask_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        for sampler in self.bbox_sampler:
            if not isinstance(sampler, PseudoSampler):
                kind = type(sampler).__name__
                raise BuildError(f"{type(self).__name__} takes all objects: PseudoSampler, not {kind}")

    def _bbox_forward(  # type: ignore[override]
        self, stage: int, x: Sequence[Tensor], rois: Tensor, object_feats: Tensor, batch_img_metas: Metas
    ) -> dict[str, Any]:
        """Logits (B, Q, C), boxes (B·Q, 4) and features of objects (B, Q, D) of regions (B·Q, 5)."""
        extractor, head = self.bbox_roi_extractor[stage], self.bbox_head[stage]
        feats = extractor(x[: extractor.num_inputs], rois)
        cls_score, bbox_pred, object_feats, attn_feats = head(feats, object_feats)
        boxes = head._regressed(rois, rois[:, 0].long(), bbox_pred.flatten(0, 1), batch_img_metas)
        return {
            "cls_score": cls_score,
            "decoded_bboxes": boxes,
            "object_feats": object_feats,
            "attn_feats": attn_feats,
            "detached_proposals": list(boxes.detach().view(*cls_score.shape[:2], 4)),
        }

    def bbox_loss(  # type: ignore[override]
        self,
        stage: int,
        x: Sequence[Tensor],
        proposals: list[Tensor],
        object_feats: Tensor,
        imgs_whwh: Tensor,
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """Losses of boxes in a stage.

        Args:
            stage: Which.
            x: Feature maps.
            proposals: Boxes of each image, (Q, 4).
            object_feats: Features of objects, (B, Q, D).
            imgs_whwh: Width and height of the images, twice, (B, Q, 4).
            batch_data_samples: Ground truth.

        Returns:
            What the network gave, `sampling_results` and `loss_bbox`: losses by name.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        results = self._bbox_forward(stage, x, bbox2roi(proposals), object_feats, metas)
        sampled = []
        scores = results["cls_score"].detach()
        for i, sample in enumerate(batch_data_samples):
            boxes = results["detached_proposals"][i]
            found = InstanceData(bboxes=boxes, scores=scores[i], priors=boxes)
            assigned = self.bbox_assigner[stage].assign(
                pred_instances=found, gt_instances=sample.gt_instances, img_meta=metas[i]
            )
            sampled.append(self.bbox_sampler[stage].sample(assigned, found, sample.gt_instances))
        losses = self.bbox_head[stage].loss_and_target(
            results["cls_score"].flatten(0, 1),
            results["decoded_bboxes"],
            sampled,
            self.train_cfg[stage],
            imgs_whwh=imgs_whwh,
        )
        return {**results, **losses, "sampling_results": sampled}

    def _mask_forward(  # type: ignore[override]
        self, stage: int, x: Sequence[Tensor], rois: Tensor, attn_feats: Tensor
    ) -> dict[str, Any]:
        extractor = self.mask_roi_extractor[stage]
        feats = extractor(x[: extractor.num_inputs], rois)
        return {"mask_preds": self.mask_head[stage](feats, attn_feats)}

    def mask_loss(  # type: ignore[override]
        self,
        stage: int,
        x: Sequence[Tensor],
        bbox_results: dict[str, Any],
        batch_gt_instances: list[InstanceData],
    ) -> dict[str, Any]:
        """Losses of the masks of the objects that a stage found, as `loss_mask`."""
        sampled = bbox_results["sampling_results"]
        feats = [
            one[result.pos_inds] for one, result in zip(bbox_results["attn_feats"], sampled, strict=True)
        ]
        return super().mask_loss(stage, x, sampled, batch_gt_instances, attn_feats=torch.cat(feats))

    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """The losses of each stage; proposals have ``features`` (Q, D) and ``imgs_whwh`` (Q, 4)."""
        gts = [sample.gt_instances for sample in batch_data_samples]
        feats = torch.stack([result.features for result in rpn_results_list])
        whwh = torch.stack([result.imgs_whwh for result in rpn_results_list])
        proposals = [result.bboxes for result in rpn_results_list]
        losses: dict[str, Any] = {}
        for stage in range(self.num_stages):
            results = self.bbox_loss(stage, x, proposals, feats, whwh, batch_data_samples)
            found = dict(results["loss_bbox"])
            if self.with_mask:
                found.update(self.mask_loss(stage, x, results, gts)["loss_mask"])
            losses.update(self._weighted(stage, found))
            feats, proposals = results["object_feats"], results["detached_proposals"]
        return losses

    def _all_stages(
        self, x: Sequence[Tensor], rpn_results_list: list[InstanceData], metas: Metas
    ) -> dict[str, Any]:
        """What the last stage gives."""
        feats = torch.stack([result.features for result in rpn_results_list])
        proposals = [result.bboxes for result in rpn_results_list]
        results: dict[str, Any] = {}
        for stage in range(self.num_stages):
            results = self._bbox_forward(stage, x, bbox2roi(proposals), feats, metas)
            feats, proposals = results["object_feats"], results["detached_proposals"]
        return results

    def predict(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """The best ``max_per_img`` pairs of object and class; see `BaseRoIHead`."""
        assert self.test_cfg is not None, "a head needs test_cfg to predict"
        metas = [sample.metainfo for sample in batch_data_samples]
        found = self._all_stages(x, rpn_results_list, metas)
        logits, boxes = found["cls_score"], found["decoded_bboxes"].view(*found["cls_score"].shape[:2], 4)
        sigmoid = self.bbox_head[-1].loss_cls.use_sigmoid
        scores = logits.sigmoid() if sigmoid else logits.softmax(-1)[..., :-1]
        best, chosen = scores.flatten(1).topk(self.test_cfg["max_per_img"])
        objects, labels = chosen // scores.size(-1), chosen % scores.size(-1)
        results = [
            InstanceData(bboxes=boxes[i, objects[i]], scores=best[i], labels=labels[i])
            for i in range(len(metas))
        ]
        if self.with_mask:
            masks = self._mask_forward(
                self.num_stages - 1, x, bbox2roi(list(boxes)), found["attn_feats"].flatten(0, 1)
            )["mask_preds"].unflatten(0, boxes.shape[:2])
            return self.mask_head[-1].predict_by_feat(
                mask_preds=[masks[i, objects[i]] for i in range(len(metas))],
                results_list=results,
                batch_img_metas=metas,
                rcnn_test_cfg=self.test_cfg,
                rescale=rescale,
            )
        if rescale:
            for result, meta in zip(results, metas, strict=True):
                result.bboxes = scale_boxes(result.bboxes, [1 / s for s in meta["scale_factor"]])
        return results

    def forward(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample] | None = None,
    ) -> tuple[Any, ...]:
        """Logits (B, Q, C) and boxes (B·Q, 4) of the last stage, without processing."""
        metas = [sample.metainfo for sample in batch_data_samples or ()]
        results = self._all_stages(x, rpn_results_list, metas)
        return results["cls_score"], results["decoded_bboxes"]
