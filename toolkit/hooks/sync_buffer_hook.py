"""Makes the buffers of all processes equal."""

from __future__ import annotations

from toolkit.dist import all_reduce_params, is_distributed
from toolkit.hooks.hook import Hook, Runner
from toolkit.registry import HOOKS


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Averages the model's buffers (BatchNorm's statistics) over all processes at the end of each epoch.

    Before validation too, where that comes within an epoch.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self._equal = False

    def before_train_epoch(self, runner: Runner) -> None:
        """From here on they drift apart."""
        self._equal = False

    def before_val_epoch(self, runner: Runner) -> None:
        """Averages, unless that was done at the end of the epoch."""
        if not self._equal:
            self._average(runner)
        self._equal = False

    def after_train_epoch(self, runner: Runner) -> None:
        """Averages."""
        self._average(runner)
        self._equal = True

    @staticmethod
    def _average(runner: Runner) -> None:
        if is_distributed():
            buffers = (each for each in runner.model.buffers() if each.is_floating_point())
            all_reduce_params(buffers, op="mean")
