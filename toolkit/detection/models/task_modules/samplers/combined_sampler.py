"""One sampler for objects, another for background."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from toolkit.detection.models.task_modules.assigners import AssignResult
from toolkit.detection.models.task_modules.builder import build_sampler
from toolkit.detection.models.task_modules.samplers.base import BaseSampler
from toolkit.detection.registry import TASK_UTILS


@TASK_UTILS.register_module()
class CombinedSampler(BaseSampler):
    """Objects by one sampler, background by another (Pang et al., "Libra R-CNN", 2019).

    Args:
        pos_sampler: Config of the one for objects; it gets `kwargs` too.
        neg_sampler: Config of the one for background; likewise.
        **kwargs: Those of `BaseSampler`.
    """

    def __init__(self, pos_sampler: Mapping[str, Any], neg_sampler: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pos_sampler = build_sampler(pos_sampler, **kwargs)
        self.neg_sampler = build_sampler(neg_sampler, **kwargs)

    def _sample_pos(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        return self.pos_sampler._sample_pos(assign_result, num_expected, **kwargs)

    def _sample_neg(self, assign_result: AssignResult, num_expected: int, **kwargs: Any) -> Tensor:
        return self.neg_sampler._sample_neg(assign_result, num_expected, **kwargs)
