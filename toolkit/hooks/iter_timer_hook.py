"""Takes the time of iterations."""

from __future__ import annotations

from collections.abc import Sequence
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
        self._data_time = 0.0

    def before_train(self, runner: Runner) -> None:
        """Starts the clock."""
        self._last = perf_counter()

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        self._last = perf_counter()

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        # A validation within an epoch is no wait for training data.
        self._last = perf_counter()

    def after_val(self, runner: Runner) -> None:
        """Starts the clock anew for training that goes on."""
        self._last = perf_counter()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """The batch is there."""
        self._data_time = perf_counter() - self._last

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """The iteration is over."""
        self._note(runner, "train")

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, mode: str = "train"
    ) -> None:
        self._data_time = perf_counter() - self._last

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        self._note(runner, mode)

    def _note(self, runner: Runner, mode: str) -> None:
        now = perf_counter()
        runner.message_hub.update_scalars(
            {"data_time": self._data_time, "time": now - self._last}, mode, resumed=False
        )
        self._last = now
