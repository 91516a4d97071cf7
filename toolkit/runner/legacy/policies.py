"""The policies: formulae of MMCV 1.x for the value of a group, from its initial value and the progress.

Each is a mixin before `UpdaterHook`, so that learning rates and momenta share it. `progress` is the epoch or
the iteration, `length` the number of these.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from toolkit.runner.legacy.hook import Runner
from toolkit.runner.legacy.updater import UpdaterHook
from toolkit.utils import ConfigError

Anneal = Callable[[float, float, float], float]


def annealing_cos(start: float, end: float, factor: float, weight: float = 1.0) -> float:
    """From `start` to `end` along a half cosine, where `factor` goes from 0 to 1."""
    return end + 0.5 * weight * (start - end) * (math.cos(math.pi * factor) + 1)


def annealing_linear(start: float, end: float, factor: float) -> float:
    """From `start` to `end` in a line, where `factor` goes from 0 to 1."""
    return start + (end - start) * factor


def anneal_function(strategy: str) -> Anneal:
    """The function of an `anneal_strategy`.

    Raises:
        ConfigError: It is neither 'cos' nor 'linear'.
    """
    functions: dict[str, Anneal] = {"cos": annealing_cos, "linear": annealing_linear}
    if strategy not in functions:
        raise ConfigError(f"anneal_strategy is 'cos' or 'linear', got {strategy!r}")
    return functions[strategy]


class Policy(UpdaterHook):
    """Where a policy finds how far the run is."""

    def progress(self, runner: Runner) -> int:
        """Epochs, or iterations, done."""
        return int(runner.epoch if self.by_epoch else runner.iter)

    def length(self, runner: Runner) -> int:
        """Epochs, or iterations, of the run."""
        return int(runner.max_epochs if self.by_epoch else runner.max_iters)


class Fixed(Policy):
    """The initial value."""

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        return initial


class Step(Policy):
    """Times `gamma` at each step.

    Args:
        step: An interval, or the steps themselves.
        gamma: The factor.
        least: The least value, or None.
    """

    def __init__(
        self, step: int | Sequence[int], gamma: float = 0.1, least: float | None = None, **kwargs: Any
    ) -> None:
        steps = [step] if isinstance(step, int) else list(step)
        if not steps or any(not isinstance(one, int) or one <= 0 for one in steps):
            raise ConfigError(f"step is a positive integer or a list of these, got {step!r}")
        self.step, self.gamma, self.least = step, gamma, least
        super().__init__(**kwargs)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        done = self.progress(runner)
        if isinstance(self.step, int):
            power = done // self.step
        else:
            power = next((i for i, at in enumerate(self.step) if done < at), len(self.step))
        value = initial * self.gamma**power
        return value if self.least is None else max(value, self.least)


class Exp(Policy):
    """``initial * gamma ** progress``."""

    def __init__(self, gamma: float, **kwargs: Any) -> None:
        self.gamma = gamma
        super().__init__(**kwargs)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        return float(initial * self.gamma ** self.progress(runner))


class Poly(Policy):
    """A power of what is left, down to `least`."""

    def __init__(self, power: float = 1.0, least: float = 0.0, **kwargs: Any) -> None:
        self.power, self.least = power, least
        super().__init__(**kwargs)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        left = (1 - self.progress(runner) / self.length(runner)) ** self.power
        return float((initial - self.least) * left + self.least)


class Inv(Policy):
    """``initial * (1 + gamma * progress) ** -power``."""

    def __init__(self, gamma: float, power: float = 1.0, **kwargs: Any) -> None:
        self.gamma, self.power = gamma, power
        super().__init__(**kwargs)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        return float(initial * (1 + self.gamma * self.progress(runner)) ** (-self.power))


class Annealing(Policy):
    """To a target, which is a value, or a share of the initial one; exactly one of them is given."""

    def __init__(self, least: float | None = None, least_ratio: float | None = None, **kwargs: Any) -> None:
        if (least is None) == (least_ratio is None):
            raise ConfigError(
                f"{type(self).__name__} takes exactly one of min_{self.what} and min_{self.what}_ratio"
            )
        self.least, self.least_ratio = least, least_ratio
        super().__init__(**kwargs)

    def target(self, initial: float) -> float:
        """The value at the end."""
        if self.least_ratio is not None:
            return initial * self.least_ratio
        assert self.least is not None
        return self.least


class CosineAnnealing(Annealing):
    """Along a half cosine."""

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        return annealing_cos(initial, self.target(initial), self.progress(runner) / self.length(runner))


class LinearAnnealing(Annealing):
    """In a line."""

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        return annealing_linear(initial, self.target(initial), self.progress(runner) / self.length(runner))


class FlatCosineAnnealing(Annealing):
    """Flat for `start_percent` of the run (0 to 1), then along a half cosine."""

    def __init__(self, start_percent: float = 0.75, **kwargs: Any) -> None:
        if not 0 <= start_percent <= 1:
            raise ConfigError(f"start_percent lies between 0 and 1, got {start_percent!r}")
        self.start_percent = start_percent
        super().__init__(**kwargs)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        length = self.length(runner)
        start = round(length * self.start_percent)
        past = self.progress(runner) - start
        return initial if past < 0 else annealing_cos(initial, self.target(initial), past / (length - start))


class CosineRestart(Annealing):
    """Half cosines one after the other, each begun at its share `restart_weights` of the initial value.

    Args:
        periods: Lengths of the cosines; together at least that of the run.
        restart_weights: One for each.
    """

    def __init__(
        self, periods: Sequence[int], restart_weights: Sequence[float] = (1,), **kwargs: Any
    ) -> None:
        if len(periods) != len(restart_weights):
            raise ConfigError(
                f"periods and restart_weights are of one length, got {list(periods)} and "
                f"{list(restart_weights)}"
            )
        self.periods, self.restart_weights = list(periods), list(restart_weights)
        self.cumulative_periods = list(itertools.accumulate(periods))
        super().__init__(**kwargs)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        done = self.progress(runner)
        index = next((i for i, end in enumerate(self.cumulative_periods) if done < end), None)
        if index is None:
            raise ConfigError(
                f"the run goes on at {done}, behind the end of all periods {self.periods}; make them longer"
            )
        begun = self.cumulative_periods[index - 1] if index else 0
        factor = min((done - begun) / self.periods[index], 1)
        return annealing_cos(initial, self.target(initial), factor, self.restart_weights[index])


class Cyclic(Policy):
    """Up and down, several times (Smith, "Cyclical learning rates", arXiv:1506.01186).

    Args:
        target_ratio: The value at the turn and that at the end, as shares of the initial one.
        cyclic_times: How many cycles the run has.
        step_ratio_up: Share of a cycle that goes up.
        anneal_strategy: 'cos' or 'linear'.
        gamma: Factor on the height of each cycle to the next, 0 to 1.
    """

    def __init__(
        self,
        by_epoch: bool = False,
        target_ratio: float | Sequence[float] = (10, 1e-4),
        cyclic_times: int = 1,
        step_ratio_up: float = 0.4,
        anneal_strategy: str = "cos",
        gamma: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if by_epoch:
            raise ConfigError(f"{type(self).__name__} counts iterations: by_epoch must be False")
        ratios = [target_ratio] if isinstance(target_ratio, (int, float)) else list(target_ratio)
        if len(ratios) not in (1, 2):
            raise ConfigError(f"target_ratio is a number, or two, got {target_ratio!r}")
        if not 0 <= step_ratio_up < 1 or not 0 < gamma <= 1:
            raise ConfigError(f"step_ratio_up={step_ratio_up!r} is in [0, 1), gamma={gamma!r} in (0, 1]")
        self.top, self.bottom = ratios[0], ratios[1] if len(ratios) == 2 else ratios[0] / 1e5
        self.cyclic_times, self.step_ratio_up, self.gamma = cyclic_times, step_ratio_up, gamma
        self.anneal = anneal_function(anneal_strategy)
        super().__init__(by_epoch=False, **kwargs)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        length = runner.max_iters // self.cyclic_times
        turn = int(self.step_ratio_up * length)
        cycle, now = divmod(runner.iter, length)
        top = 1 - self.gamma**cycle + self.top * self.gamma**cycle
        if now < turn:
            return self.anneal(initial, initial * top, now / turn)
        return self.anneal(initial * top, initial * self.bottom, (now - turn) / (length - turn))


class OneCycle(Policy):
    """Phases of one cycle over the run (Smith, Topin, "Super-convergence", arXiv:1708.07120).

    Args:
        pct_start: Share of the run that the first phase takes, 0 to 1.
        anneal_strategy: 'cos' or 'linear'.
        three_phase: Whether the way back mirrors the way there, before the last phase.
    """

    def __init__(
        self, pct_start: float = 0.3, anneal_strategy: str = "cos", three_phase: bool = False, **kwargs: Any
    ) -> None:
        if kwargs.pop("by_epoch", False):
            raise ConfigError(f"{type(self).__name__} counts iterations: by_epoch must be False")
        if not 0 <= pct_start <= 1:
            raise ConfigError(f"pct_start lies between 0 and 1, got {pct_start!r}")
        self.pct_start, self.three_phase = float(pct_start), three_phase
        self.anneal = anneal_function(anneal_strategy)
        super().__init__(by_epoch=False, **kwargs)

    def ends(self, total: int) -> list[float]:
        """The last iteration of each phase of `total` iterations."""
        first = self.pct_start * total - 1
        if self.three_phase:
            return [first, 2 * self.pct_start * total - 2, total - 1]
        return [first, total - 1]

    def within(self, now: int, total: int, values: Sequence[float]) -> float:
        """The value at iteration `now`; `values` are those between which the phases lead."""
        begun = 0.0
        for end, start_value, end_value in zip(self.ends(total), values, values[1:], strict=True):
            if now <= end:
                return self.anneal(start_value, end_value, (now - begun) / (end - begun))
            begun = end
        return values[-1]
