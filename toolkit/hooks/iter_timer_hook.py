"""Takes the time of iterations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.registry import HOOKS


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Logs `time`, an iteration's seconds, and `data_time`, those spent before its batch was there.

    They go to the message hub as `train/time`, `val/data_time` and so on. They are not resumed: another
    machine may be slower. The time left is worked out of them when it is printed, by the log processor.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self._last = perf_counter()
        self._note_wait: Callable[[float], None] = _nowhere
        self._note_time: Callable[[float], None] = _nowhere

    def before_train(self, runner: Runner) -> None:
        """Starts the clock."""
        self._begin(runner, "train")

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        self._begin(runner, mode)

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        # A validation within an epoch is no wait for training data.
        self._begin(runner, mode)

    def after_val(self, runner: Runner) -> None:
        """Starts the clock anew for training that goes on."""
        self._begin(runner, "train")

    def _begin(self, runner: Runner, mode: str) -> None:
        self._note_wait = runner.message_hub.channel(mode, "data_time", resumed=False)
        self._note_time = runner.message_hub.channel(mode, "time", resumed=False)
        self._last = perf_counter()

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, mode: str = "train"
    ) -> None:
        self._note_wait(perf_counter() - self._last)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        now = perf_counter()
        self._note_time(now - self._last)
        self._last = now

    # Training's iterations are the many: no detour for them.
    before_train_iter = _before_iter
    after_train_iter = _after_iter


def _nowhere(seconds: float) -> None:
    """Before a loop has begun."""
