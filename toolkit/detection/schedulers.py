"""Schedules that only detectors use."""

from __future__ import annotations

from typing import Any

from toolkit.detection.registry import PARAM_SCHEDULERS
from toolkit.optim.scheduler.base import INF, _ParamScheduler
from toolkit.optim.scheduler.named import LRSchedulerMixin, MomentumSchedulerMixin
from toolkit.utils import ConfigError


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupParamScheduler(_ParamScheduler):
    """Grow from nearly 0 with the square of time: ``base * ((t + 1) / (end - begin)) ** 2``.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        begin: The first step.
        end: The first step after the warm-up.

    Raises:
        ConfigError: There is no `end`.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if end >= INF:
            raise ConfigError(f"{type(self).__name__} needs an end: the step that the warm-up is over at")
        self.total_iters = end - begin
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        step = base * (2 * self.last_step + 1) / self.total_iters**2
        return step if self.last_step == 0 else value + step


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupLR(LRSchedulerMixin, QuadraticWarmupParamScheduler):
    """`QuadraticWarmupParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class QuadraticWarmupMomentum(MomentumSchedulerMixin, QuadraticWarmupParamScheduler):
    """`QuadraticWarmupParamScheduler` of the momentum."""
