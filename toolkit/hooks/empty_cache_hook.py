"""Gives unused device memory back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.hooks.interval import Interval, checked_interval
from toolkit.registry import HOOKS


@HOOKS.register_module()
class EmptyCacheHook(Hook):
    """Calls `torch.cuda.empty_cache`, which other programs on the device may need and this one pays for.

    Args:
        before_epoch: Whether before each epoch of training, validation and test.
        after_epoch: Whether after each.
        after_iter: Whether after iterations.
        interval: With `after_iter`, after every how many of a loop's iterations.

    Raises:
        ConfigError: `interval` is not positive.
    """

    priority = "NORMAL"

    def __init__(
        self,
        before_epoch: bool = False,
        after_epoch: bool = True,
        after_iter: bool = False,
        interval: int = 1,
    ) -> None:
        self._do_before_epoch = before_epoch
        self._do_after_epoch = after_epoch
        interval = checked_interval("EmptyCacheHook", interval)
        self._interval = Interval(interval if after_iter else -1, by_epoch=False)

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        if self._do_before_epoch:
            torch.cuda.empty_cache()

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        if self._do_after_epoch:
            torch.cuda.empty_cache()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        if self._interval.due(batch_idx + 1):
            torch.cuda.empty_cache()
