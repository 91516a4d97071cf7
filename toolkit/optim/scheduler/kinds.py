"""The schedules, each for any entry of the parameter groups.

Each gives the next value from the present one (`_next`), so that schedules compose; the closed form that
follows for a schedule alone stands in its docstring, with t for `last_step`, the number of steps since
`begin`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, ClassVar

from toolkit.optim.scheduler.base import INF, _ParamScheduler
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.utils import ConfigError


def _check(holds: bool, owner: object, text: str) -> None:
    if not holds:
        raise ConfigError(f"{type(owner).__name__}: {text}")


@PARAM_SCHEDULERS.register_module()
class StepParamScheduler(_ParamScheduler):
    """Multiply by `gamma` every `step_size` steps: ``base * gamma ** (t // step_size)``.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        step_size: Steps between two multiplications.
        gamma: The factor.
        **kwargs: `begin`, `end`, `last_step`, `by_epoch`, `verbose`.
    """

    _counted_in_steps: ClassVar[tuple[str, ...]] = ("step_size",)

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        step_size: int,
        gamma: float = 0.1,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        _check(step_size >= 1, self, f"step_size must be at least 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        return value * self.gamma if self.last_step and self.last_step % self.step_size == 0 else value


@PARAM_SCHEDULERS.register_module()
class MultiStepParamScheduler(_ParamScheduler):
    """Multiply by `gamma` at each milestone: ``base * gamma ** (number of milestones <= t)``.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        milestones: Steps since `begin`; one that stands twice counts twice.
        gamma: The factor.
    """

    _counted_in_steps: ClassVar[tuple[str, ...]] = ("milestones",)

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_step: int = -1,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        _check(not isinstance(milestones, (str, int)), self, f"milestones must be a list, got {milestones!r}")
        self.milestones = dict(Counter(milestones))
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        times = self.milestones.get(self.last_step)
        return value * self.gamma**times if times else value


@PARAM_SCHEDULERS.register_module()
class ConstantParamScheduler(_ParamScheduler):
    """Multiply by `factor` from `begin` to the last step before `end`, where it is taken back.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        factor: Between 0 and 1; 0 only where there is no `end`.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        factor: float = 1.0 / 3,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        _check(0 <= factor <= 1, self, f"factor must be between 0 and 1, got {factor}")
        _check(
            factor > 0 or end >= INF,
            self,
            "factor=0 can't be taken back at `end`; use a small one such as 1e-6",
        )
        self.factor = factor
        self.total_iters = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        if self.total_iters == 0:
            return value
        if self.last_step == 0:
            return value * self.factor
        return value * (1.0 / self.factor) if self.last_step == self.total_iters else value


@PARAM_SCHEDULERS.register_module()
class LinearParamScheduler(_ParamScheduler):
    """A factor that goes linearly from `start_factor` to `end_factor`, which it reaches in the last step
    before `end`.

    With T = end - begin - 1: ``base * (start + (end_factor - start) * t / T)``. The usual warmup.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        start_factor: More than 0, up to 1.
        end_factor: Between 0 and 1.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        text = (
            f"start_factor must be more than 0 and at most 1 (such as 1e-6 for nearly 0), got {start_factor}"
        )
        _check(0 < start_factor <= 1, self, text)
        _check(0 <= end_factor <= 1, self, f"end_factor must be between 0 and 1, got {end_factor}")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        if self.last_step == 0:
            return value * self.start_factor
        rise = self.end_factor - self.start_factor
        return value * (1.0 + rise / (self.total_iters * self.start_factor + (self.last_step - 1) * rise))


@PARAM_SCHEDULERS.register_module()
class ExponentialParamScheduler(_ParamScheduler):
    """Multiply by `gamma` at every step: ``base * gamma ** t``.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        gamma: The factor.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        gamma: float,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.gamma = gamma
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        return value * self.gamma if self.last_step else value


@PARAM_SCHEDULERS.register_module()
class PolyParamScheduler(_ParamScheduler):
    """Polynomial decay to `eta_min`, which it reaches in the last step before `end`.

    With T = end - begin - 1: ``(base - eta_min) * (1 - t / T) ** power + eta_min``.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        eta_min: The value at the end.
        power: The exponent.
    """

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        eta_min: float = 0,
        power: float = 1.0,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self.eta_min = eta_min
        self.power = power
        self.total_iters = end - begin - 1
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        if self.last_step == 0:
            return value
        left = 1 - 1 / (self.total_iters - self.last_step + 1)
        return (value - self.eta_min) * left**self.power + self.eta_min


class _CosineParamScheduler(_ParamScheduler):
    """What the cosine schedules share: the least value, absolute or as a share of the base value."""

    eta_min: float | None
    eta_min_ratio: float | None

    def _set_minimum(self, eta_min: float | None, eta_min_ratio: float | None) -> None:
        text = (
            f"give eta_min or eta_min_ratio, not both; got eta_min={eta_min}, eta_min_ratio={eta_min_ratio}"
        )
        _check(eta_min is None or eta_min_ratio is None, self, text)
        self.eta_min = 0.0 if eta_min is None and eta_min_ratio is None else eta_min
        self.eta_min_ratio = eta_min_ratio

    def _minimum(self, base: Any) -> Any:
        return self.eta_min if self.eta_min_ratio is None else base * self.eta_min_ratio

    def _along(self, value: Any, base: Any, step: int, period: int) -> Any:
        """One step (the one numbered `step`) along a cosine that falls from step 0 to `period`."""
        low = self._minimum(base)
        ratio = (1 + math.cos(math.pi * step / period)) / (1 + math.cos(math.pi * (step - 1) / period))
        return ratio * (value - low) + low


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingParamScheduler(_CosineParamScheduler):
    """Half a cosine from the base value to the least one in `T_max` steps, and up again after it.

    ``eta_min + (base - eta_min) * (1 + cos(pi * t / T_max)) / 2``, Loshchilov and Hutter, "SGDR", 2017.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        T_max: Steps to the least value; ``end - begin`` by default.
        eta_min: The least value; 0 by default.
        eta_min_ratio: The least value as a share of the base value, in place of `eta_min`.
    """

    _counted_in_steps: ClassVar[tuple[str, ...]] = ("T_max",)

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        T_max: int | None = None,
        eta_min: float | None = None,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        eta_min_ratio: float | None = None,
    ) -> None:
        self._set_minimum(eta_min, eta_min_ratio)
        self.T_max = T_max or (end - begin)
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        if self.last_step == 0:
            return value
        if (self.last_step - 1 - self.T_max) % (2 * self.T_max) == 0:
            # At its lowest the ratio to the next value is undefined.
            return value + (base - self._minimum(base)) * (1 - math.cos(math.pi / self.T_max)) / 2
        return self._along(value, base, self.last_step, self.T_max)


@PARAM_SCHEDULERS.register_module()
class CosineRestartParamScheduler(_CosineParamScheduler):
    """Cosines one after the other, each from its weight times the base value to the least value (SGDR).

    After the last period the value stays.

    Args:
        optimizer: See `_ParamScheduler`, as for `param_name` and the remaining arguments.
        param_name: The entry that is scheduled.
        periods: Steps of each cosine.
        restart_weights: What the base value is multiplied by at the start of each.
        eta_min: The least value; 0 by default.
        eta_min_ratio: The least value as a share of the base value, in place of `eta_min`.
    """

    _counted_in_steps: ClassVar[tuple[str, ...]] = ("periods",)

    def __init__(
        self,
        optimizer: Any,
        param_name: str,
        periods: Sequence[int],
        restart_weights: Sequence[float] = (1,),
        eta_min: float | None = None,
        eta_min_ratio: float | None = None,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        self._set_minimum(eta_min, eta_min_ratio)
        text = f"periods and restart_weights must be as many; got {len(periods)} and {len(restart_weights)}"
        _check(len(periods) == len(restart_weights), self, text)
        self.periods = list(periods)
        self.restart_weights = list(restart_weights)
        self.cumulative_periods = list(accumulate(periods))
        super().__init__(optimizer, param_name, begin, end, last_step, by_epoch, verbose)

    def _next(self, value: Any, base: Any) -> Any:
        index = bisect_right(self.cumulative_periods, self.last_step)
        if index == len(self.periods):
            return value
        step = self.last_step - (self.cumulative_periods[index - 1] if index else 0)
        if step == 0:
            return base * self.restart_weights[index]
        return self._along(value, base, step, self.periods[index])
