"""Base class of samplers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners import AssignResult
from toolkit.detection.models.task_modules.samplers.sampling_result import SamplingResult
from toolkit.detection.models.utils import get_box_tensor
from toolkit.structures import InstanceData


class BaseSampler(ABC):
    """Chooses the priors that train.

    Args:
        num: How many in all.
        pos_fraction: The largest part of them that are objects.
        neg_pos_ub: At most this many backgrounds an object; negative for no limit.
        add_gt_as_proposals: Put the ground truths among the priors.
        context: The head that samples, for samplers that look at it; not used otherwise.
    """

    def __init__(
        self,
        num: int,
        pos_fraction: float,
        neg_pos_ub: int = -1,
        add_gt_as_proposals: bool = True,
        context: Any = None,
    ) -> None:
        self.num = num
        self.pos_fraction = pos_fraction
        self.neg_pos_ub = neg_pos_ub
        self.add_gt_as_proposals = add_gt_as_proposals

    @abstractmethod
    def _sample_pos(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        """At most `num_expected` places of objects, int64."""

    @abstractmethod
    def _sample_neg(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        """At most `num_expected` places of background, int64."""

    def sample(
        self,
        assign_result: AssignResult,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        **kwargs: Any,
    ) -> SamplingResult:
        """Choose.

        Args:
            assign_result: What the assigner said of the priors; the ground truths are put into it where they
                are put among the priors.
            pred_instances: ``priors``, (N, 4).
            gt_instances: ``bboxes`` (K, 4) and ``labels`` (K,).
            **kwargs: Passed on to the methods that choose.
        """
        priors, boxes = get_box_tensor(pred_instances.priors), get_box_tensor(gt_instances.bboxes)
        flags = priors.new_zeros(len(priors), dtype=torch.uint8)
        if self.add_gt_as_proposals and len(boxes):
            priors = torch.cat((boxes, priors))
            assign_result.add_gt_(gt_instances.labels)
            flags = torch.cat((flags.new_ones(len(boxes)), flags))
        pos_inds = self._sample_pos(assign_result, int(self.num * self.pos_fraction), bboxes=priors, **kwargs)
        num_neg = self.num - pos_inds.numel()
        if self.neg_pos_ub >= 0:
            num_neg = min(num_neg, int(self.neg_pos_ub * max(1, pos_inds.numel())))
        neg_inds = self._sample_neg(assign_result, num_neg, bboxes=priors, **kwargs)
        return SamplingResult(pos_inds, neg_inds, priors, boxes, assign_result, flags)
