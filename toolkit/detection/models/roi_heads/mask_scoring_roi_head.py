"""The RoI head of Mask Scoring R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.roi_heads.base_roi_head import Cfg, Metas
from toolkit.detection.models.roi_heads.standard_roi_head import StandardRoIHead
from toolkit.detection.models.task_modules import SamplingResult
from toolkit.detection.models.utils import bbox2roi
from toolkit.detection.registry import MODELS
from toolkit.structures import InstanceData


@MODELS.register_module()
class MaskScoringRoIHead(StandardRoIHead):
    """Scores of detections are times the predicted overlap of their masks (Huang et al., 2019).

    Args:
        mask_iou_head: Config of what predicts that overlap.
        **kwargs: Those of `StandardRoIHead`.
    """

    def __init__(self, mask_iou_head: Cfg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mask_iou_head = MODELS.build(mask_iou_head)

    def mask_loss(
        self,
        x: Sequence[Tensor],
        sampling_results: list[SamplingResult],
        bbox_feats: Tensor | None,
        batch_gt_instances: list[InstanceData],
    ) -> dict[str, Any]:
        """With ``loss_mask_iou``; see `StandardRoIHead`."""
        results = super().mask_loss(x, sampling_results, bbox_feats, batch_gt_instances)
        labels = torch.cat([result.pos_gt_labels for result in sampling_results])
        masks = _of_class(results["mask_preds"], labels)
        overlaps = _of_class(self.mask_iou_head(results["mask_feats"], masks), labels)
        results["loss_mask"].update(
            self.mask_iou_head.loss_and_target(
                overlaps,
                masks,
                results["mask_targets"],
                sampling_results,
                batch_gt_instances,
                self.train_cfg,
            )
        )
        return results

    def predict_mask(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Metas,
        results_list: list[InstanceData],
        rescale: bool = False,
    ) -> list[InstanceData]:
        """See `BaseRoIHead`."""
        found = self._mask_forward(x, bbox2roi([result.bboxes for result in results_list]))
        labels = torch.cat([result.labels for result in results_list])
        overlaps = self.mask_iou_head(found["mask_feats"], _of_class(found["mask_preds"], labels))
        counts = [len(result) for result in results_list]
        results_list = self.mask_head.predict_by_feat(
            mask_preds=found["mask_preds"].split(counts),
            results_list=results_list,
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
        )
        return self.mask_iou_head.predict_by_feat(overlaps.split(counts), results_list)


def _of_class(values: Tensor, labels: Tensor) -> Tensor:
    """Of each row of (P, C, ...), what belongs to its class (P,)."""
    return values[torch.arange(len(labels), device=labels.device), labels]
