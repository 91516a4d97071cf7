"""The one-cycle schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from toolkit.optim.scheduler.base import INF, _ParamScheduler
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.utils import ConfigError, did_you_mean


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


def _linear(start: float, end: float, share: float) -> float:
    return (end - start) * share + start


_ANNEALING = {"cos": _cosine, "linear": _linear}


@PARAM_SCHEDULERS.register_module()
class OneCycleParamScheduler(_ParamScheduler):
    """Up to `eta_max` and down again, far below the start (Smith and Topin, "Super-convergence", 2018).

    Unlike the other schedules it sets the value, whatever it was before.

    Args:
        optimizer: See `_ParamScheduler`, as for the remaining arguments.
        param_name: Only `lr`.
        eta_max: The highest value, or one for each parameter group.
        total_steps: Steps of the cycle; ``end - begin`` by default.
        pct_start: Share of the cycle in which the value rises.
        anneal_strategy: 'cos' or 'linear'.
        div_factor: It starts at ``eta_max / div_factor``.
        final_div_factor: It ends at the start value divided by this.
        three_phase: Fall to the start value as fast as it rose, and to the end in a third phase.
    """

    _counted_in_steps: ClassVar[tuple[str, ...]] = ("total_steps",)

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        eta_max: float | Sequence[float] = 0,
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.total_steps = end - begin if total_steps is None else total_steps
        self._validate(param_name, pct_start, anneal_strategy)
        self.eta_max = eta_max
        self.anneal_strategy = anneal_strategy
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        rise = float(pct_start * self.total_steps)
        names = ("initial", "max", "initial", "min") if three_phase else ("initial", "max", "min")
        ends = (
            [rise - 1, 2 * rise - 2, self.total_steps - 1]
            if three_phase
            else [rise - 1, self.total_steps - 1]
        )
        self._phases: list[tuple[float, str, str]] = [
            (stop, f"{start_name}_{param_name}", f"{end_name}_{param_name}")
            for stop, start_name, end_name in zip(ends, names[:-1], names[1:], strict=True)
        ]
        if last_step == -1:
            self._set_bounds(optimizer.param_groups, param_name)
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _validate(self, param_name: str, pct_start: float, anneal_strategy: str) -> None:
        name = type(self).__name__
        if param_name != "lr":
            raise ConfigError(f"{name} schedules 'lr' alone, got param_name={param_name!r}")
        if not isinstance(self.total_steps, int) or self.total_steps <= 0:
            raise ConfigError(f"total_steps of {name} must be a positive integer, got {self.total_steps!r}")
        if not 0 <= pct_start <= 1:
            raise ConfigError(f"pct_start of {name} must be between 0 and 1, got {pct_start!r}")
        if anneal_strategy not in _ANNEALING:
            raise ConfigError(
                f"anneal_strategy of {name} must be 'cos' or 'linear', got {anneal_strategy!r}"
                f"{did_you_mean(str(anneal_strategy), _ANNEALING)}"
            )

    def _set_bounds(self, groups: list[dict[str, Any]], param: str) -> None:
        highest = list(self.eta_max) if isinstance(self.eta_max, Sequence) else [self.eta_max] * len(groups)
        if len(highest) != len(groups):
            raise ConfigError(
                f"eta_max of {type(self).__name__} has {len(highest)} values for {len(groups)} parameter "
                f"groups"
            )
        for group, value in zip(groups, highest, strict=True):
            group[f"initial_{param}"] = value / self.div_factor
            group[f"max_{param}"] = value
            group[f"min_{param}"] = group[f"initial_{param}"] / self.final_div_factor

    def _get_value(self) -> list[Any]:
        if self.last_step > self.total_steps:
            raise ConfigError(
                f"{type(self).__name__} was set up for total_steps={self.total_steps}, and asked for more; "
                "give a larger total_steps, or an `end`"
            )
        begun = 0.0
        for stop, start_key, end_key in self._phases:
            if self.last_step <= stop or stop == self._phases[-1][0]:
                share = min((self.last_step - begun) / (stop - begun), 1.0) if stop > begun else 1.0
                anneal = _ANNEALING[self.anneal_strategy]
                return [
                    anneal(group[start_key], group[end_key], share) for group in self.optimizer.param_groups
                ]
            begun = stop
        raise AssertionError("the last phase takes every step")
