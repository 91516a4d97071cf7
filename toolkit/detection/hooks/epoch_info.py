"""Tells a model which epoch it is."""

from __future__ import annotations

from toolkit.detection.registry import HOOKS
from toolkit.hooks import Hook
from toolkit.hooks.hook import Runner
from toolkit.model import is_model_wrapper


@HOOKS.register_module()
class SetEpochInfoHook(Hook):
    """Calls ``model.set_epoch(epoch)`` before each epoch, for models whose training changes with it."""

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell it."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.set_epoch(runner.epoch)
