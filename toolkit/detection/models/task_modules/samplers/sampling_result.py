"""What a sampler gives."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners import AssignResult


class SamplingResult:
    """The priors that train, and what they are to become. What isn't asked for isn't computed.

    Args:
        pos_inds: Priors that are objects, (P,) int64.
        neg_inds: Priors that are background, (M,) int64.
        priors: All priors, (N, 4).
        gt_bboxes: Ground-truth boxes, (K, 4).
        assign_result: What the assigner said of the priors.
        gt_flags: Which priors are ground truths put among them, (N,) uint8.
        avg_factor_with_neg: Whether `avg_factor` counts background too.
    """

    def __init__(
        self,
        pos_inds: Tensor,
        neg_inds: Tensor,
        priors: Tensor,
        gt_bboxes: Tensor,
        assign_result: AssignResult,
        gt_flags: Tensor,
        avg_factor_with_neg: bool = True,
    ) -> None:
        self.pos_inds = pos_inds
        self.neg_inds = neg_inds
        self.num_pos = max(pos_inds.numel(), 1)
        self.num_neg = max(neg_inds.numel(), 1)
        self.avg_factor_with_neg = avg_factor_with_neg
        self.avg_factor = self.num_pos + self.num_neg if avg_factor_with_neg else self.num_pos
        self.num_gts = gt_bboxes.shape[0]
        self._all_priors = priors
        self._gt_bboxes = gt_bboxes
        self._assign_result = assign_result
        self._gt_flags = gt_flags

    @cached_property
    def pos_priors(self) -> Tensor:
        """(P, 4)."""
        return self._all_priors[self.pos_inds]

    @cached_property
    def neg_priors(self) -> Tensor:
        """(M, 4)."""
        return self._all_priors[self.neg_inds]

    @property
    def max_overlaps(self) -> Tensor:
        """The largest overlap of each prior with a ground truth, (N,)."""
        return self._assign_result.max_overlaps

    @cached_property
    def pos_is_gt(self) -> Tensor:
        """Which objects are ground truths put among the priors, (P,) uint8."""
        return self._gt_flags[self.pos_inds]

    @cached_property
    def pos_assigned_gt_inds(self) -> Tensor:
        """The ground truth of each object, from 0, (P,) int64."""
        return self._assign_result.gt_inds[self.pos_inds] - 1

    @cached_property
    def pos_gt_labels(self) -> Tensor:
        """The class of each object, (P,) int64."""
        return self._assign_result.labels[self.pos_inds]

    @cached_property
    def pos_gt_bboxes(self) -> Tensor:
        """The ground-truth box of each object, (P, 4)."""
        return self._gt_bboxes.reshape(-1, 4)[self.pos_assigned_gt_inds]

    @property
    def priors(self) -> Tensor:
        """All that train, objects first, (P + M, 4)."""
        return torch.cat((self.pos_priors, self.neg_priors))

    # The names of earlier versions of MMDetection.
    bboxes = priors

    @property
    def pos_bboxes(self) -> Tensor:
        """The older name of `pos_priors`."""
        return self.pos_priors

    @property
    def neg_bboxes(self) -> Tensor:
        """The older name of `neg_priors`."""
        return self.neg_priors

    def __repr__(self) -> str:
        return f"SamplingResult(num_gts={self.num_gts}, pos={len(self.pos_inds)}, neg={len(self.neg_inds)})"
