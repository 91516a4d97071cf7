"""Stops a run whose loss is no number any more."""

from __future__ import annotations

from typing import Any

import torch

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.hooks.interval import checked_interval
from toolkit.registry import HOOKS
from toolkit.utils import TrainingError


@HOOKS.register_module()
class CheckInvalidLossHook(Hook):
    """Looks at the losses after every `interval` iterations, and stops where one isn't finite.

    The optimizer wrapper already refuses a total that isn't finite, before the weights change, in every
    iteration. This hook sees the single losses too, also those that the total leaves out, and works with
    models that don't use the wrapper. It is one more look at the device at each interval.

    Args:
        interval: Look after every so many iterations.

    Raises:
        ConfigError: `interval` is not positive.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = checked_interval("CheckInvalidLossHook", interval)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Looks, if it is time.

        Raises:
            TrainingError: A loss isn't finite.
        """
        if not self.every_n_train_iters(runner, self.interval):
            return
        losses = {
            name: value
            for name, value in (outputs or {}).items()
            if "loss" in name and isinstance(value, torch.Tensor)
        }
        bad = [name for name, value in losses.items() if not bool(torch.isfinite(value).all())]
        if bad:
            found = ", ".join(f"{name}={losses[name].mean().item()}" for name in bad)
            raise TrainingError(
                f"after iteration {runner.iter + 1} the loss is not finite: {found}. Lower the learning "
                "rate, clip gradients (optim_wrapper.clip_grad), or look at the samples of this batch"
            )
