"""MMCV's `MomentumUpdaterHook` and its policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolkit.runner.legacy import policies
from toolkit.runner.legacy.hook import HOOKS, Runner
from toolkit.runner.legacy.updater import UpdaterHook, optimizers_of
from toolkit.utils import ConfigError


class MomentumUpdaterHook(UpdaterHook):
    """Sets `momentum`, or the first of `betas`; see `UpdaterHook`. A policy overrides `get_momentum`.

    The warm-up begins above the policy's value, since a momentum falls while the learning rate rises.
    """

    what = "momentum"

    def __init__(self, *args: Any, warmup_ratio: float = 0.9, **kwargs: Any) -> None:
        kwargs["warmup_ratio"] = warmup_ratio
        super().__init__(*args, **kwargs)

    def get_momentum(self, runner: Runner, base_momentum: float) -> float:
        """The momentum of a group that began with `base_momentum`, without warm-up."""
        return super().regular_value(runner, base_momentum)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        return self.get_momentum(runner, initial)

    def warmed(self, value: float, share: float) -> float:
        """See `UpdaterHook`."""
        return value / share

    def read(self, group: dict[str, Any]) -> float:
        """See `UpdaterHook`."""
        if "momentum" not in group and "betas" not in group:
            raise ConfigError("a momentum policy needs an optimizer that has momentum or betas")
        return float(group["momentum"] if "momentum" in group else group["betas"][0])

    def write(self, group: dict[str, Any], value: float) -> None:
        """See `UpdaterHook`."""
        if "momentum" in group:
            group["momentum"] = value
        else:
            group["betas"] = (value, *group["betas"][1:])


@HOOKS.register_module()
class StepMomentumUpdaterHook(MomentumUpdaterHook, policies.Step):
    """See `policies.Step`; `min_momentum` is its least value."""

    def __init__(
        self, step: Any, gamma: float = 0.5, min_momentum: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(step=step, gamma=gamma, least=min_momentum, **kwargs)


class _Annealing(MomentumUpdaterHook, policies.Annealing):
    def __init__(
        self, min_momentum: float | None = None, min_momentum_ratio: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(least=min_momentum, least_ratio=min_momentum_ratio, **kwargs)


@HOOKS.register_module()
class CosineAnnealingMomentumUpdaterHook(_Annealing, policies.CosineAnnealing):
    """See `policies.CosineAnnealing`; the target is `min_momentum`, or `min_momentum_ratio` of the first."""


@HOOKS.register_module()
class LinearAnnealingMomentumUpdaterHook(_Annealing, policies.LinearAnnealing):
    """See `policies.LinearAnnealing`; the target is `min_momentum`, or `min_momentum_ratio` of the first."""


@HOOKS.register_module()
class CyclicMomentumUpdaterHook(MomentumUpdaterHook, policies.Cyclic):
    """See `policies.Cyclic`; the momentum falls while the learning rate rises."""

    def __init__(
        self, by_epoch: bool = False, target_ratio: float | Sequence[float] = (0.85 / 0.95, 1), **kwargs: Any
    ) -> None:
        super().__init__(by_epoch=by_epoch, target_ratio=target_ratio, **kwargs)


@HOOKS.register_module()
class OneCycleMomentumUpdaterHook(MomentumUpdaterHook, policies.OneCycle):
    """See `policies.OneCycle`: from `max_momentum` down to `base_momentum` and back.

    Args:
        base_momentum: The least: one, one for each group, or these by optimizer.
        max_momentum: The greatest, in the same forms.
    """

    def __init__(self, base_momentum: Any = 0.85, max_momentum: Any = 0.95, **kwargs: Any) -> None:
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        self._least: dict[str, list[float]] = {}
        super().__init__(**kwargs)

    def before_run(self, runner: Runner) -> None:
        """Makes the greatest momenta the initial ones."""
        for name, optimizer in optimizers_of(runner).items():
            groups = optimizer.param_groups
            self._least[name] = _for_groups(self.base_momentum, name, len(groups))
            greatest = _for_groups(self.max_momentum, name, len(groups))
            for group, value in zip(groups, greatest, strict=True):
                self.read(group)
                group.setdefault("initial_momentum", value)
        super().before_run(runner)

    def _regulars(self, runner: Runner) -> dict[str, list[float]]:
        # The policy needs two values of each group, where the others need one.
        self._regular = {
            name: [
                self._within_cycle(runner, low, high)
                for low, high in zip(self._least[name], initials, strict=True)
            ]
            for name, initials in self._initial.items()
        }
        return self._regular

    def _within_cycle(self, runner: Runner, low: float, high: float) -> float:
        values = [high, low, high, high] if self.three_phase else [high, low, high]
        return self.within(runner.iter, runner.max_iters, values)


def _for_groups(value: Any, name: str, count: int) -> list[float]:
    one = value[name] if isinstance(value, dict) else value
    values = list(one) if isinstance(one, (list, tuple)) else [one] * count
    if len(values) != count:
        raise ConfigError(f"{len(values)} momenta are given for {count} parameter groups")
    return values
