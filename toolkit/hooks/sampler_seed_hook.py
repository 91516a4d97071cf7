"""Tells samplers the epoch."""

from __future__ import annotations

from typing import Any

from toolkit.hooks.hook import Hook, Runner
from toolkit.registry import HOOKS


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Calls `set_epoch` of the sampler, or of the batch sampler's one, before each epoch of training."""

    priority = "NORMAL"

    def before_train_epoch(self, runner: Runner) -> None:
        """Sets the epoch."""
        loader: Any = runner.train_loop.dataloader
        outer: Any = getattr(loader, "sampler", None)
        inner: Any = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        for sampler in (outer, inner):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(runner.epoch)
                return
