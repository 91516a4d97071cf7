"""Sampling that takes everything."""

from __future__ import annotations

from typing import Any

import torch

from toolkit.detection.models.task_modules.assigners import AssignResult
from toolkit.detection.models.task_modules.samplers.sampling_result import SamplingResult
from toolkit.detection.models.utils import get_box_tensor
from toolkit.detection.registry import TASK_UTILS
from toolkit.structures import InstanceData


@TASK_UTILS.register_module()
class PseudoSampler:
    """All objects and all background; its results' `avg_factor` counts objects only.

    Args:
        context: Not used.
    """

    def __init__(self, context: Any = None) -> None:
        del context

    def sample(
        self,
        assign_result: AssignResult,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        **kwargs: Any,
    ) -> SamplingResult:
        """See `BaseSampler.sample`."""
        priors, boxes = get_box_tensor(pred_instances.priors), get_box_tensor(gt_instances.bboxes)
        return SamplingResult(
            (assign_result.gt_inds > 0).nonzero().squeeze(1),
            (assign_result.gt_inds == 0).nonzero().squeeze(1),
            priors,
            boxes,
            assign_result,
            priors.new_zeros(len(priors), dtype=torch.uint8),
            avg_factor_with_neg=False,
        )
