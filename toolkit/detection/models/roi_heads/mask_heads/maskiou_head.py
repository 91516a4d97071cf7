"""How well a predicted mask covers its object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.utils import _pair

from toolkit.detection.models.task_modules import SamplingResult
from toolkit.detection.registry import MODELS
from toolkit.model import BaseModule
from toolkit.structures import InstanceData

Cfg = dict[str, Any]
_INIT = (
    {"type": "Kaiming", "override": {"name": "convs"}},
    {"type": "Caffe2Xavier", "override": {"name": "fcs"}},
    {"type": "Normal", "std": 0.01, "override": {"name": "fc_mask_iou"}},
)


@MODELS.register_module()
class MaskIoUHead(BaseModule):
    """Predicts the overlap of a predicted mask with its object's (Huang et al., "Mask Scoring R-CNN", 2019).

    State-dict keys: ``convs.i.*``, ``fcs.i.*``, ``fc_mask_iou.*``. Shapes: P regions, C classes.

    Args:
        num_convs: How many convolutions; the last one strides.
        num_fcs: How many linear layers.
        roi_feat_size: Size of the features of a region.
        in_channels: Their channels.
        conv_out_channels: Of the convolutions.
        fc_out_channels: Features of the linear layers.
        num_classes: Without background.
        loss_iou: Config of the loss.
        init_cfg: See `BaseModule`.
    """

    def __init__(
        self,
        num_convs: int = 4,
        num_fcs: int = 2,
        roi_feat_size: int | tuple[int, int] = 14,
        in_channels: int = 256,
        conv_out_channels: int = 256,
        fc_out_channels: int = 1024,
        num_classes: int = 80,
        loss_iou: Cfg = {"type": "MSELoss", "loss_weight": 0.5},  # noqa: B006 - read only
        init_cfg: Any = _INIT,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.convs, self.fcs = nn.ModuleList(), nn.ModuleList()
        channels = in_channels + 1  # the mask itself
        for i in range(num_convs):
            stride = 2 if i == num_convs - 1 else 1
            self.convs.append(nn.Conv2d(channels, conv_out_channels, 3, stride=stride, padding=1))
            channels = conv_out_channels
        height, width = _pair(roi_feat_size)
        features = channels * (height // 2) * (width // 2)
        for _ in range(num_fcs):
            self.fcs.append(nn.Linear(features, fc_out_channels))
            features = fc_out_channels
        self.fc_mask_iou = nn.Linear(features, num_classes)
        self.loss_iou = MODELS.build(loss_iou)

    def forward(self, mask_feat: Tensor, mask_preds: Tensor) -> Tensor:
        """Overlaps (P, C) of features (P, in_channels, h, w) and logits of masks (P, 2·h, 2·w)."""
        pooled = F.max_pool2d(mask_preds.sigmoid().unsqueeze(1), 2)
        x = torch.cat((mask_feat, pooled), dim=1)
        for conv in self.convs:
            x = F.relu(conv(x))
        x = x.flatten(1)
        for fc in self.fcs:
            x = F.relu(fc(x))
        return self.fc_mask_iou(x)

    def loss_and_target(
        self,
        mask_iou_pred: Tensor,
        mask_preds: Tensor,
        mask_targets: Tensor,
        sampling_results: Sequence[SamplingResult],
        batch_gt_instances: Sequence[InstanceData],
        rcnn_train_cfg: Cfg,
    ) -> dict[str, Tensor]:
        """``loss_mask_iou``, of the masks that overlap their object.

        Args:
            mask_iou_pred: Overlaps of each region's own class, (P,).
            mask_preds: Logits of masks of that class, (P, h, w).
            mask_targets: What they should be, (P, h, w).
            sampling_results: Of each image.
            batch_gt_instances: ``masks`` of each image.
            rcnn_train_cfg: ``mask_thr_binary``.
        """
        targets = self.get_targets(
            sampling_results, batch_gt_instances, mask_preds, mask_targets, rcnn_train_cfg
        )
        found = (targets > 0).to(mask_iou_pred.dtype)
        # where nothing overlaps, the target is not a number where the mask is empty too
        loss = self.loss_iou(mask_iou_pred, targets.nan_to_num(), found, avg_factor=found.sum().clamp(min=1))
        return {"loss_mask_iou": loss}

    @torch.no_grad()
    def get_targets(
        self,
        sampling_results: Sequence[SamplingResult],
        batch_gt_instances: Sequence[InstanceData],
        mask_preds: Tensor,
        mask_targets: Tensor,
        rcnn_train_cfg: Cfg,
    ) -> Tensor:
        """The overlaps, (P,), with the whole object in the union; arguments as `loss_and_target`."""
        ratios = torch.cat(
            [
                _area_ratios(result, gt.masks)
                for result, gt in zip(sampling_results, batch_gt_instances, strict=True)
            ]
        )
        masks = (mask_preds > rcnn_train_cfg["mask_thr_binary"]).to(mask_targets.dtype)
        overlap = (masks * mask_targets).sum((-1, -2))
        whole = mask_targets.sum((-1, -2)) / (ratios + 1e-7)
        return overlap / (masks.sum((-1, -2)) + whole - overlap)

    def predict_by_feat(
        self, mask_iou_preds: Sequence[Tensor], results_list: list[InstanceData]
    ) -> list[InstanceData]:
        """The detections with ``scores`` times the overlaps (N, C) of their classes."""
        for results, overlaps in zip(results_list, mask_iou_preds, strict=True):
            rows = torch.arange(len(results), device=overlaps.device)
            results.scores = results.scores * overlaps[rows, results.labels]
        return results_list


def _area_ratios(result: SamplingResult, masks: Any) -> Tensor:
    """The part of its object that lies in each sampled region, (P,)."""
    boxes = result.pos_priors
    if not len(boxes):
        return boxes.new_zeros(0)
    inds = result.pos_assigned_gt_inds.cpu().numpy()
    inside = masks.areas_in(boxes.detach().cpu().numpy().astype("int32"), inds)
    return boxes.new_tensor(inside / (masks.areas[inds] + 1e-7))
