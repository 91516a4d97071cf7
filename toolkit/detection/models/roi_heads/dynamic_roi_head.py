"""The RoI head of Dynamic R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.losses import SmoothL1Loss
from toolkit.detection.models.roi_heads.standard_roi_head import StandardRoIHead, pos_places
from toolkit.detection.models.task_modules import SamplingResult
from toolkit.detection.registry import MODELS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import BuildError

_EPS = 1e-15


@MODELS.register_module()
class DynamicRoIHead(StandardRoIHead):
    """Asks for more overlap, and for smaller errors, as proposals get better.

    From "Dynamic R-CNN: Towards High Quality Object Detection via Dynamic Training" (Zhang et al., 2020).
    ``train_cfg.dynamic_rcnn`` has ``iou_topk``, ``beta_topk``, ``update_iter_interval``, ``initial_iou`` and
    ``initial_beta``.

    Args:
        **kwargs: Those of `StandardRoIHead`.

    Raises:
        BuildError: The loss of boxes has no `beta`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(self.bbox_head.loss_bbox, SmoothL1Loss):
            raise BuildError("DynamicRoIHead changes the beta of loss_bbox, which must be a SmoothL1Loss")
        # Tensors on the device, which are looked at once an interval.
        self.iou_history: list[Tensor] = []
        self.beta_history: list[Tensor] = []

    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: list[InstanceData],
        batch_data_samples: Sequence[DetDataSample],
    ) -> dict[str, Any]:
        """See `StandardRoIHead`; every ``update_iter_interval`` iterations the thresholds follow."""
        losses = super().loss(x, rpn_results_list, batch_data_samples)
        if len(self.iou_history) % self.train_cfg["dynamic_rcnn"]["update_iter_interval"] == 0:
            self.update_hyperparameters()
        return losses

    def sample(self, *args: Any, **kwargs: Any) -> list[SamplingResult]:
        """See `BaseRoIHead`; notes how well the best proposals overlap."""
        results = super().sample(*args, **kwargs)
        topk = self.train_cfg["dynamic_rcnn"]["iou_topk"]
        overlaps = [result.max_overlaps for result in results]
        lowest = [one.topk(min(topk, len(one))).values[-1] for one in overlaps]
        self.iou_history.append(torch.stack(lowest).mean())
        return results

    def bbox_loss(self, x: Sequence[Tensor], sampling_results: list[SamplingResult]) -> dict[str, Any]:
        """See `StandardRoIHead`; notes how large the smallest errors of proposals are."""
        results = super().bbox_loss(x, sampling_results)
        targets = results["bbox_targets"][2]
        objects = targets[pos_places(sampling_results, targets.device), :2]
        if len(objects):
            topk = self.train_cfg["dynamic_rcnn"]["beta_topk"] * len(sampling_results)
            errors = objects.abs().mean(dim=1)
            self.beta_history.append(errors.kthvalue(min(topk, len(objects))).values)
        return results

    def update_hyperparameters(self) -> tuple[float, float]:
        """Set the assigner's thresholds and the loss's beta from what was noted, and forget that.

        Returns:
            The threshold and beta.
        """
        cfg = self.train_cfg["dynamic_rcnn"]
        iou_thr = max(cfg["initial_iou"], float(torch.stack(self.iou_history).double().mean()))
        assigner = self.bbox_assigner
        assigner.pos_iou_thr, assigner.neg_iou_thr, assigner.min_pos_iou = iou_thr, iou_thr, iou_thr
        # of an even number of values the mean of the two in the middle
        median = torch.stack(self.beta_history).double().quantile(0.5).item() if self.beta_history else 0.0
        beta = min(cfg["initial_beta"], median) if median >= _EPS else self.bbox_head.loss_bbox.beta
        self.bbox_head.loss_bbox.beta = beta
        self.iou_history, self.beta_history = [], []
        return iou_thr, beta
