"""Sampling at random that is balanced: objects over ground truths, background over overlaps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners import AssignResult
from toolkit.detection.models.task_modules.samplers.random_sampler import RandomSampler
from toolkit.detection.registry import TASK_UTILS
from toolkit.utils import BuildError


def ranks_within(groups: Tensor) -> Tensor:
    """Of each element its number among those of the same group, in random order: (M,) int64 from 0."""
    shuffled = torch.randperm(len(groups), device=groups.device)
    order = shuffled[groups[shuffled].argsort(stable=True)]
    sizes = torch.unique_consecutive(groups[order], return_counts=True)[1]
    first = (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    places = torch.arange(len(groups), device=groups.device)
    return torch.empty_like(places).scatter_(0, order, places - first)


def some_of_each(members: Tensor, groups: Tensor, most: int, num: int) -> Tensor:
    """At most `most` of each group at random, filled up at random or cut at random to `num` in all.

    Args:
        members: (M,), of which `num` or more.
        groups: The group of each, (M,) int64.
        most: Of a group.
        num: In all.
    """
    shuffle = torch.randperm(len(members), device=members.device)
    members, groups = members[shuffle], groups[shuffle]
    late = ranks_within(groups) >= most  # those come in only where there are too few others
    return members[late.to(torch.uint8).argsort(stable=True)[:num]]


@TASK_UTILS.register_module()
class InstanceBalancedPosSampler(RandomSampler):
    """Objects: about equally many of each ground truth (Pang et al., "Libra R-CNN", 2019).

    Arguments: `BaseSampler`.
    """

    def _sample_pos(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        pos_inds = (assign_result.gt_inds > 0).nonzero().squeeze(1)
        if len(pos_inds) <= num_expected:
            return pos_inds
        owners = assign_result.gt_inds[pos_inds]
        most = round(num_expected / len(owners.unique())) + 1
        return some_of_each(pos_inds, owners, most, num_expected)


@TASK_UTILS.register_module()
class IoUBalancedNegSampler(RandomSampler):
    """Background: equally many from each interval of overlap (Pang et al., "Libra R-CNN", 2019).

    Args:
        num: See `BaseSampler`.
        pos_fraction: See `BaseSampler`.
        floor_thr: Overlap from which on intervals are balanced; what overlaps less is the floor. 0: what
            overlaps nothing is the floor; -1: there is none, and what overlaps nothing comes last.
        floor_fraction: Part of the samples that is of the floor.
        num_bins: How many intervals.
        **kwargs: Those of `BaseSampler`.

    Raises:
        BuildError: A number is out of its range.
    """

    def __init__(
        self,
        num: int,
        pos_fraction: float,
        floor_thr: float = -1,
        floor_fraction: float = 0,
        num_bins: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num, pos_fraction, **kwargs)
        if not (floor_thr >= 0 or floor_thr == -1) or not 0 <= floor_fraction <= 1 or num_bins < 1:
            raise BuildError(
                f"{type(self).__name__} needs floor_thr of -1 or at least 0, floor_fraction from 0 to 1 and "
                f"num_bins of at least 1; got {floor_thr}, {floor_fraction} and {num_bins}"
            )
        self.floor_thr, self.floor_fraction, self.num_bins = floor_thr, floor_fraction, num_bins

    def _sample_neg(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        neg_inds = (assign_result.gt_inds == 0).nonzero().squeeze(1)
        if len(neg_inds) <= num_expected:
            return neg_inds
        overlaps = assign_result.max_overlaps[neg_inds]
        least = max(self.floor_thr, 0)
        above = overlaps >= least if self.floor_thr > 0 else overlaps > least
        floor = ~above if self.floor_thr >= 0 else torch.zeros_like(above)
        high = self._balanced(
            neg_inds[above],
            overlaps[above],
            assign_result.max_overlaps.max(),
            int(num_expected * (1 - self.floor_fraction)),
        )
        low = self._at_most(neg_inds[floor], num_expected - len(high))
        chosen = torch.cat((low, high))
        if len(chosen) < num_expected:
            left = torch.ones_like(assign_result.gt_inds, dtype=torch.bool)
            left[chosen] = False
            rest = neg_inds[left[neg_inds]]
            chosen = torch.cat((chosen, self._at_most(rest, num_expected - len(chosen))))
        return chosen

    def _balanced(self, inds: Tensor, overlaps: Tensor, highest: Tensor, num: int) -> Tensor:
        """At most `num` of some priors, by intervals of their overlaps."""
        if len(inds) <= num:
            return inds
        if self.num_bins == 1:
            return self.random_choice(inds, num)
        least = max(self.floor_thr, 0)
        width = (highest - least).clamp(min=torch.finfo(overlaps.dtype).eps) / self.num_bins
        bins = ((overlaps - least) / width).long().clamp_(0, self.num_bins - 1)
        return some_of_each(inds, bins, num // self.num_bins, num)
