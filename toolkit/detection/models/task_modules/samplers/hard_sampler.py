"""Sampling by what the head gets wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners import AssignResult
from toolkit.detection.models.task_modules.samplers.base import BaseSampler
from toolkit.detection.models.utils import bbox2roi
from toolkit.detection.registry import TASK_UTILS

Feats = list[Tensor]


class HeadSampler(BaseSampler):
    """Base of samplers that ask the RoI head.

    Args:
        num: See `BaseSampler`.
        pos_fraction: See `BaseSampler`.
        context: The RoI head; in a cascade its ``current_stage`` is asked.
        neg_pos_ub: See `BaseSampler`.
        add_gt_as_proposals: See `BaseSampler`.
    """

    def __init__(
        self,
        num: int,
        pos_fraction: float,
        context: Any,
        neg_pos_ub: int = -1,
        add_gt_as_proposals: bool = True,
    ) -> None:
        super().__init__(num, pos_fraction, neg_pos_ub, add_gt_as_proposals)
        self.context = context
        self._stage = (context.current_stage,) if hasattr(context, "num_stages") else ()
        self.bbox_head = context.bbox_head[self._stage[0]] if self._stage else context.bbox_head

    def ask(
        self, boxes: Tensor, labels: Tensor, feats: Feats, loss_key: str
    ) -> tuple[dict[str, Any], Tensor]:
        """What the head gives for boxes of an image, and the loss of each.

        Args:
            boxes: (M, 4).
            labels: Their classes, (M,); the number of classes is background.
            feats: Feature maps of the image, (1, C, H_l, W_l) each.
            loss_key: Which loss.
        """
        rois = bbox2roi([boxes])
        results = self.context._bbox_forward(*self._stage, feats, rois)
        losses = self.bbox_head.loss(
            cls_score=results["cls_score"],
            bbox_pred=None,
            rois=rois,
            labels=labels,
            label_weights=results["cls_score"].new_ones(len(rois)),
            bbox_targets=None,
            bbox_weights=None,
            reduction_override="none",
        )
        return results, losses[loss_key]


@TASK_UTILS.register_module()
class OHEMSampler(HeadSampler):
    """Those with the largest loss (Shrivastava et al., "Training Region-based Object Detectors with Online
    Hard Example Mining", 2016).

    Args:
        num: See `BaseSampler`.
        pos_fraction: See `BaseSampler`.
        context: See `HeadSampler`.
        neg_pos_ub: See `BaseSampler`.
        add_gt_as_proposals: See `BaseSampler`.
        loss_key: Which loss.
        **kwargs: Not used.
    """

    def __init__(
        self,
        num: int,
        pos_fraction: float,
        context: Any,
        neg_pos_ub: int = -1,
        add_gt_as_proposals: bool = True,
        loss_key: str = "loss_cls",
        **kwargs: Any,
    ) -> None:
        super().__init__(num, pos_fraction, context, neg_pos_ub, add_gt_as_proposals)
        self.loss_key = loss_key

    def _sample_pos(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        inds = (assign_result.gt_inds > 0).nonzero().squeeze(1)
        return self._hardest(inds, assign_result.labels[inds], num_expected, **kwargs)

    def _sample_neg(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        inds = (assign_result.gt_inds == 0).nonzero().squeeze(1)
        return self._hardest(inds, torch.full_like(inds, self.bbox_head.num_classes), num_expected, **kwargs)

    @torch.no_grad()
    def _hardest(self, inds: Tensor, labels: Tensor, num: int, bboxes: Tensor, feats: Feats) -> Tensor:
        if len(inds) <= num:
            return inds
        _, loss = self.ask(bboxes[inds], labels, feats, self.loss_key)
        return inds[loss.topk(num).indices]
