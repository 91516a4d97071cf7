"""Sampling at random."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from toolkit.detection.models.task_modules.assigners import AssignResult
from toolkit.detection.models.task_modules.samplers.base import BaseSampler
from toolkit.detection.registry import TASK_UTILS


@TASK_UTILS.register_module()
class RandomSampler(BaseSampler):
    """Objects and background at random, each with the same chance; arguments: `BaseSampler`.

    Draws from torch's generator of the priors' device, whose state a checkpoint keeps.
    """

    def random_choice(self, gallery: Tensor, num: int) -> Tensor:
        """`num` of the elements of `gallery`, (M,) with M > num, in random order."""
        return gallery[torch.randperm(gallery.numel(), device=gallery.device)[:num]]

    def _sample_pos(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        return self._at_most((assign_result.gt_inds > 0).nonzero().squeeze(1), num_expected)

    def _sample_neg(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        return self._at_most((assign_result.gt_inds == 0).nonzero().squeeze(1), num_expected)

    def _at_most(self, gallery: Tensor, num: int) -> Tensor:
        return gallery if gallery.numel() <= num else self.random_choice(gallery, num)
