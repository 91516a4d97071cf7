"""Steps the parameter schedulers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.registry import HOOKS


@HOOKS.register_module()
class ParamSchedulerHook(Hook):
    """Steps schedulers after iterations or epochs, as each counts; after validation those that want it."""

    priority = "LOW"

    def __init__(self) -> None:
        self._iter_steps: list[Callable[[], Any]] = []

    def before_train(self, runner: Runner) -> None:
        """Finds the schedulers that count iterations."""
        self._bind(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Finds them again: another hook may have replaced them."""
        self._bind(runner)

    def _bind(self, runner: Runner) -> None:
        self._iter_steps = [each.step for each in _all(runner.param_schedulers) if not each.by_epoch]

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Steps those that count iterations."""
        for step in self._iter_steps:
            step()

    def after_train_epoch(self, runner: Runner) -> None:
        """Steps those that count epochs."""
        for scheduler in _all(runner.param_schedulers):
            if scheduler.by_epoch:
                scheduler.step()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Steps those that look at `metrics`, such as ReduceOnPlateauLR."""
        if metrics is None:
            return
        for scheduler in _all(runner.param_schedulers):
            if getattr(scheduler, "need_val_args", False):
                scheduler.step(metrics)


def _all(schedulers: Any) -> list[Any]:
    """The schedulers of a list, or of a dict of lists (one a named optimizer), or None.

    Where nothing is trained they are still a config, and none.
    """
    if schedulers is None or "type" in schedulers:
        return []
    if isinstance(schedulers, dict):
        return [each for group in schedulers.values() for each in group]
    return list(schedulers)
