"""MMCV's `LrUpdaterHook` and its policies."""

from __future__ import annotations

from typing import Any

from toolkit.runner.legacy import policies
from toolkit.runner.legacy.hook import HOOKS, Runner
from toolkit.runner.legacy.updater import UpdaterHook, optimizers_of
from toolkit.utils import ConfigError


class LrUpdaterHook(UpdaterHook):
    """Sets the learning rate; see `UpdaterHook`. A policy of your own overrides `get_lr`."""

    what = "lr"

    def get_lr(self, runner: Runner, base_lr: float) -> float:
        """The rate of a group that began with `base_lr`, without warm-up."""
        return super().regular_value(runner, base_lr)

    def regular_value(self, runner: Runner, initial: float) -> float:
        """See `UpdaterHook`."""
        return self.get_lr(runner, initial)

    def warmed(self, value: float, share: float) -> float:
        """See `UpdaterHook`."""
        return value * share

    def read(self, group: dict[str, Any]) -> float:
        """See `UpdaterHook`."""
        return float(group["lr"])

    def write(self, group: dict[str, Any], value: float) -> None:
        """See `UpdaterHook`."""
        group["lr"] = value


@HOOKS.register_module()
class FixedLrUpdaterHook(LrUpdaterHook, policies.Fixed):
    """The initial rate."""


@HOOKS.register_module()
class StepLrUpdaterHook(LrUpdaterHook, policies.Step):
    """See `policies.Step`; `min_lr` is its least value."""

    def __init__(self, step: Any, gamma: float = 0.1, min_lr: float | None = None, **kwargs: Any) -> None:
        super().__init__(step=step, gamma=gamma, least=min_lr, **kwargs)


@HOOKS.register_module()
class ExpLrUpdaterHook(LrUpdaterHook, policies.Exp):
    """See `policies.Exp`."""


@HOOKS.register_module()
class PolyLrUpdaterHook(LrUpdaterHook, policies.Poly):
    """See `policies.Poly`; `min_lr` is its least value."""

    def __init__(self, power: float = 1.0, min_lr: float = 0.0, **kwargs: Any) -> None:
        super().__init__(power=power, least=min_lr, **kwargs)


@HOOKS.register_module()
class InvLrUpdaterHook(LrUpdaterHook, policies.Inv):
    """See `policies.Inv`."""


class _Annealing(LrUpdaterHook, policies.Annealing):
    def __init__(self, min_lr: float | None = None, min_lr_ratio: float | None = None, **kwargs: Any) -> None:
        super().__init__(least=min_lr, least_ratio=min_lr_ratio, **kwargs)


@HOOKS.register_module()
class CosineAnnealingLrUpdaterHook(_Annealing, policies.CosineAnnealing):
    """See `policies.CosineAnnealing`; the target is `min_lr`, or `min_lr_ratio` of the initial rate."""


@HOOKS.register_module()
class LinearAnnealingLrUpdaterHook(_Annealing, policies.LinearAnnealing):
    """See `policies.LinearAnnealing`; the target is `min_lr`, or `min_lr_ratio` of the initial rate."""


@HOOKS.register_module()
class FlatCosineAnnealingLrUpdaterHook(_Annealing, policies.FlatCosineAnnealing):
    """See `policies.FlatCosineAnnealing`; the target is `min_lr`, or `min_lr_ratio` of the initial rate."""


@HOOKS.register_module()
class CosineRestartLrUpdaterHook(_Annealing, policies.CosineRestart):
    """See `policies.CosineRestart`; the target is `min_lr`, or `min_lr_ratio` of the initial rate."""


@HOOKS.register_module()
class CyclicLrUpdaterHook(LrUpdaterHook, policies.Cyclic):
    """See `policies.Cyclic`."""


@HOOKS.register_module()
class OneCycleLrUpdaterHook(LrUpdaterHook, policies.OneCycle):
    """See `policies.OneCycle`.

    Args:
        max_lr: The rate at the turn: one, one for each group, or these by optimizer.
        total_steps: Iterations of the cycle; by default those of the run, and not fewer.
        div_factor: The cycle begins at ``max_lr / div_factor``,
        final_div_factor: and ends at that, divided by this.
    """

    def __init__(
        self,
        max_lr: Any,
        total_steps: int | None = None,
        div_factor: float = 25,
        final_div_factor: float = 1e4,
        **kwargs: Any,
    ) -> None:
        self.max_lr, self.total_steps = max_lr, total_steps
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        super().__init__(**kwargs)

    def before_run(self, runner: Runner) -> None:
        """Makes the first rates of the cycle the initial ones."""
        if self.total_steps is not None and self.total_steps < runner.max_iters:
            raise ConfigError(
                f"the cycle of total_steps={self.total_steps} ends before the run of {runner.max_iters}"
            )
        for name, optimizer in optimizers_of(runner).items():
            highest = self.max_lr[name] if isinstance(self.max_lr, dict) else self.max_lr
            groups = optimizer.param_groups
            rates = list(highest) if isinstance(highest, (list, tuple)) else [highest] * len(groups)
            if len(rates) != len(groups):
                raise ConfigError(f"max_lr has {len(rates)} values for {len(groups)} parameter groups")
            for group, rate in zip(groups, rates, strict=True):
                group.setdefault("initial_lr", rate / self.div_factor)
        super().before_run(runner)

    def get_lr(self, runner: Runner, base_lr: float) -> float:
        """The rate within the cycle."""
        middle = [base_lr * self.div_factor, *([base_lr] if self.three_phase else [])]
        values = [base_lr, *middle, base_lr * (1 / self.final_div_factor)]
        return self.within(runner.iter, self.total_steps or runner.max_iters, values)
