"""One idea of "every n epochs or iterations", for all hooks that do something now and then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from toolkit.utils import ConfigError


def checked_interval(owner: str, interval: Any, name: str = "interval", never: bool = False) -> int:
    """An interval as a user gave it: a whole number of at least 1.

    Args:
        owner: Whose it is, for the message.
        interval: The interval.
        name: What the owner calls it.
        never: Whether a negative number is allowed, for "never".

    Raises:
        ConfigError: It is something else. 0 might mean "always" as well as "never".
    """
    whole = isinstance(interval, int) and not isinstance(interval, bool)
    if not whole or interval == 0 or (interval < 0 and not never):
        choices = "at least 1, or -1 for never" if never else "at least 1"
        raise ConfigError(f"{owner}: {name} is {choices}, got {interval!r}")
    return int(interval)


@dataclass(frozen=True)
class Interval:
    """A test for "is it time?", asked after each epoch or iteration.

    Steps are counted from 1: step `n` is the n-th that was completed. Those taken are `begin`,
    `begin + every`, `begin + 2 * every`, …, where step 0 is never asked for; and the very last one if `last`.

    Args:
        every: Length of the interval in epochs or iterations; 0 or less means never.
        by_epoch: The unit: epochs, or iterations.
        begin: The first step taken, from which the others are counted.
        last: Whether the last step of training is taken too, whatever `every` says.
    """

    every: int
    by_epoch: bool = True
    begin: int = 0
    last: bool = False

    def __post_init__(self) -> None:
        if self.begin < 0:
            raise ValueError(f"an interval begins at 0 or later, got {self.begin}")

    def due(self, done: int, total: int | None = None) -> bool:
        """Whether step number `done` (from 1) of `total` is taken."""
        if self.last and done == total:
            return True
        past = done - self.begin
        return self.every > 0 and past >= 0 and past % self.every == 0

    def after_epoch(self, runner: Any) -> bool:
        """Whether the epoch just finished is taken; asked before the runner counts it."""
        return self.by_epoch and self.due(runner.epoch + 1, runner.max_epochs)

    def after_iter(self, runner: Any) -> bool:
        """Whether the iteration just finished is taken; asked before the runner counts it."""
        return not self.by_epoch and self.due(runner.iter + 1, runner.max_iters)

    def in_iters(self, epoch_length: int) -> Interval:
        """The same interval counted in iterations, where an epoch has `epoch_length` of them."""
        if not self.by_epoch:
            return self
        return replace(self, every=self.every * epoch_length, begin=self.begin * epoch_length, by_epoch=False)
