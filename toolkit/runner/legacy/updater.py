"""What sets the learning rate or the momentum, iteration by iteration: warm-up, and where values go."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from toolkit.runner.legacy.hook import Hook, Runner
from toolkit.utils import ConfigError, did_you_mean

WARMUPS = ("constant", "linear", "exp")


def optimizers_of(runner: Runner) -> dict[str, Any]:
    """The optimizers by name; a single one has the name ''."""
    optimizer = runner.optimizer
    return dict(optimizer) if isinstance(optimizer, Mapping) else {"": optimizer}


class UpdaterHook(Hook):
    """What learning rate and momentum updaters share.

    Before each epoch (`by_epoch`) or iteration, each parameter group gets the value of the policy at
    `runner.epoch` or `runner.iter`, computed from the group's own initial value; during the warm-up, a share
    of it.

    Args:
        by_epoch: Whether the policy changes with the epoch, or with the iteration.
        warmup: 'constant', 'linear', 'exp' or None.
        warmup_iters: Iterations of the warm-up.
        warmup_ratio: Share of the value that the warm-up begins with, more than 0 and at most 1.
        warmup_by_epoch: Whether `warmup_iters` counts epochs.

    Raises:
        ConfigError: An argument of the warm-up is out of range.
    """

    priority = "VERY_HIGH"
    what = "lr"  # for messages

    def __init__(
        self,
        by_epoch: bool = True,
        warmup: str | None = None,
        warmup_iters: int = 0,
        warmup_ratio: float = 0.1,
        warmup_by_epoch: bool = False,
    ) -> None:
        if warmup is not None:
            self._check_warmup(warmup, warmup_iters, warmup_ratio)
        self.by_epoch = by_epoch
        self.warmup = warmup
        self.warmup_ratio = warmup_ratio
        self.warmup_by_epoch = warmup_by_epoch
        self.warmup_iters: int | None = None if warmup_by_epoch else warmup_iters
        self.warmup_epochs = warmup_iters if warmup_by_epoch else None
        self._initial: dict[str, list[float]] = {}
        self._regular: dict[str, list[float]] = {}

    @staticmethod
    def _check_warmup(warmup: str, iters: int, ratio: float) -> None:
        if warmup not in WARMUPS:
            raise ConfigError(
                f"warmup={warmup!r} is none of {', '.join(WARMUPS)}{did_you_mean(str(warmup), WARMUPS)}"
            )
        if iters <= 0:
            raise ConfigError(f"a warm-up needs warmup_iters of at least 1, got {iters!r}")
        if not 0 < ratio <= 1:
            raise ConfigError(f"warmup_ratio is more than 0 and at most 1, got {ratio!r}")

    # What the value is, and where it stands.

    def regular_value(self, runner: Runner, initial: float) -> float:
        """The policy's value of a group whose own is `initial`."""
        raise NotImplementedError(f"{type(self).__name__} must implement its policy")

    def warmed(self, value: float, share: float) -> float:
        """A value of the policy within the warm-up, where `share` of it is reached."""
        raise NotImplementedError

    def read(self, group: dict[str, Any]) -> float:
        """The value of a parameter group."""
        raise NotImplementedError

    def write(self, group: dict[str, Any], value: float) -> None:
        """Set the value of a parameter group."""
        raise NotImplementedError

    # Points.

    def before_run(self, runner: Runner) -> None:
        """Notes the initial values; those of a resumed optimizer are in its state."""
        for name, group in _groups(runner):
            initial = group.setdefault(f"initial_{self.what}", self.read(group))
            self._initial.setdefault(name, []).append(initial)

    def before_train_epoch(self, runner: Runner) -> None:
        """Sets the values of the epoch, where they change with it."""
        self._count_warmup(runner)
        if self.by_epoch:
            self._set(runner, self._regulars(runner))

    def before_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """Sets the values of the iteration, if the policy or the warm-up changes them now."""
        self._count_warmup(runner)
        now, warmup_iters = runner.iter, self.warmup_iters or 0
        warming = self.warmup is not None and now < warmup_iters
        if not self.by_epoch or not self._regular:
            self._regulars(runner)
        if warming:
            self._set(runner, self.warm_values(now))
        elif not self.by_epoch or (self.warmup is not None and now == warmup_iters):
            self._set(runner, self._regular)

    def warm_values(self, now: int) -> dict[str, list[float]]:
        """The values by optimizer at iteration `now` of the warm-up."""
        assert self.warmup_iters is not None
        progress = 1 - now / self.warmup_iters
        shares: dict[str | None, Callable[[], float]] = {
            "constant": lambda: self.warmup_ratio,
            "linear": lambda: 1 - progress * (1 - self.warmup_ratio),
            "exp": lambda: self.warmup_ratio**progress,
        }
        share = shares[self.warmup]()
        return {
            name: [self.warmed(value, share) for value in values] for name, values in self._regular.items()
        }

    def _count_warmup(self, runner: Runner) -> None:
        if self.warmup_iters is None:
            assert self.warmup_epochs is not None
            self.warmup_iters = self.warmup_epochs * len(runner.data_loader)

    def _regulars(self, runner: Runner) -> dict[str, list[float]]:
        self._regular = {
            name: [self.regular_value(runner, initial) for initial in initials]
            for name, initials in self._initial.items()
        }
        return self._regular

    def _set(self, runner: Runner, values: Mapping[str, list[float]]) -> None:
        for name, optimizer in optimizers_of(runner).items():
            for group, value in zip(optimizer.param_groups, values[name], strict=True):
                self.write(group, value)


def _groups(runner: Runner) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, optimizer in optimizers_of(runner).items():
        for group in optimizer.param_groups:
            yield name, group
