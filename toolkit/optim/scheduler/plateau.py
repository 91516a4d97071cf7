"""The schedule that follows a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.optim.scheduler.base import INF, _ParamScheduler
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.utils import ConfigError, did_you_mean


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauParamScheduler(_ParamScheduler):
    """Multiply by `factor` where a metric has not got better in more than `patience` validations.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        monitor: The metric's name.
        rule: 'less' where lower is better, 'greater' where higher is.
        factor: Less than 1.
        patience: Validations without a better value that are let pass.
        threshold: How much better a value must be to count.
        threshold_rule: Whether `threshold` is a share of the best value ('rel') or absolute ('abs').
        cooldown: Validations after a reduction that are not counted.
        min_value: The least value, or one for each parameter group.
        eps: A reduction by less than this is left out.
        by_epoch: Must be True.
    """

    need_val_args = True
    """Tells the hook to call `step` with the results of each validation, besides once an epoch."""

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        monitor: str = "loss",
        rule: str = "less",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_rule: str = "rel",
        cooldown: int = 0,
        min_value: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        name = type(self).__name__
        if not by_epoch:
            raise ConfigError(f"{name} counts validations; by_epoch=False has no meaning for it")
        if factor >= 1.0:
            raise ConfigError(f"factor of {name} must be less than 1, got {factor}")
        if threshold < 0:
            raise ConfigError(f"threshold of {name} must not be negative, got {threshold}")
        for key, value, choices in (
            ("rule", rule, ("less", "greater")),
            ("threshold_rule", threshold_rule, ("rel", "abs")),
        ):
            if value not in choices:
                raise ConfigError(
                    f"{key} of {name} must be one of {choices}, got {value!r}{did_you_mean(value, choices)}"
                )
        self.monitor = monitor
        self.rule = rule
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_rule = threshold_rule
        self.cooldown = cooldown
        self.eps = eps
        self.best = math.inf if rule == "less" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)
        self.min_values = self._minima(min_value)

    def _start(self) -> None:
        # There is no metric yet; step 0 is the first epoch.
        self._global_step = 0

    def _minima(self, min_value: float | Sequence[float]) -> list[float]:
        count = len(self.optimizer.param_groups)
        if not isinstance(min_value, Sequence):
            return [min_value] * count
        if len(min_value) != count:
            raise ConfigError(
                f"min_value of {type(self).__name__} has {len(min_value)} values for {count} parameter groups"
            )
        return list(min_value)

    def step(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Count an epoch, or take the results of a validation.

        Args:
            metrics: Results by name; None at the end of an epoch, which only counts it.

        Raises:
            ConfigError: The results don't have the metric.
        """
        if metrics is None:
            self._global_step += 1
            return
        if not self.begin <= self._global_step < self.end:
            return
        if self.monitor not in metrics:
            raise ConfigError(
                f"{type(self).__name__} monitors {self.monitor!r}, which the validation doesn't give"
                f"{did_you_mean(self.monitor, metrics)}; it gives {', '.join(metrics)}"
            )
        self.last_step += 1
        value = float(metrics[self.monitor])
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def _reduce(self) -> None:
        values = []
        for value, least in zip(self._values(), self.min_values, strict=True):
            reduced = max(value * self.factor, least)
            values.append(reduced if value - reduced > self.eps else value)
        self._set_values(values)
        self._last_value = values

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.rule == "less" else -1
        if self.threshold_rule == "abs":
            return sign * value < sign * self.best - self.threshold
        return sign * value < sign * self.best * (1 - sign * self.threshold)
