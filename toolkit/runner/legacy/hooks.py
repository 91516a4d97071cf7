"""The further hooks of MMCV 1.x: over the present ones where those do the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import torch

from toolkit import hooks as present
from toolkit.model import ExponentialMovingAverage
from toolkit.registry import MODELS
from toolkit.runner.legacy.hook import HOOKS, Hook, Runner
from toolkit.utils import ConfigError, did_you_mean

for _same in (present.SyncBuffersHook, present.DistSamplerSeedHook, present.EmptyCacheHook):
    HOOKS.register_module(module=_same)
_CLOSURE_POINTS = (
    *("before_run", "after_run", "before_epoch", "after_epoch", "before_iter", "after_iter"),
    *("before_train_epoch", "after_train_epoch", "before_train_iter", "after_train_iter"),
    *("before_val_epoch", "after_val_epoch", "before_val_iter", "after_val_iter"),
)


@HOOKS.register_module()
class CheckpointHook(present.CheckpointHook):
    """Saves checkpoints, and keeps ``latest.pth`` as the newest.

    Args:
        interval: See `toolkit.hooks.CheckpointHook`, as for the next five.
        by_epoch: See there.
        save_optimizer: See there.
        out_dir: See there.
        max_keep_ckpts: See there.
        save_last: See there.
        sync_buffer: Whether the buffers of all processes are averaged before a checkpoint at an epoch's end.
        file_client_args: Options of the file system of `out_dir`.
        **kwargs: Further arguments of `toolkit.hooks.CheckpointHook`, such as `filename_tmpl`.
    """

    priority = "NORMAL"

    def __init__(
        self,
        interval: int = -1,
        by_epoch: bool = True,
        save_optimizer: bool = True,
        out_dir: str | None = None,
        max_keep_ckpts: int = -1,
        save_last: bool = True,
        sync_buffer: bool = False,
        file_client_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            interval=interval,
            by_epoch=by_epoch,
            save_optimizer=save_optimizer,
            out_dir=out_dir,
            max_keep_ckpts=max_keep_ckpts,
            save_last=save_last,
            backend_args=dict(file_client_args) if file_client_args else None,
            **kwargs,
        )
        self._sync = present.SyncBuffersHook() if sync_buffer else None

    def after_train_epoch(self, runner: Runner) -> None:
        """Saves, if it is time."""
        if self._sync is not None:
            self._sync.after_train_epoch(runner)
        super().after_train_epoch(runner)


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Logs `time`, an iteration's seconds, and `data_time`, those spent before its batch was there."""

    def __init__(self) -> None:
        self._last = perf_counter()

    def before_epoch(self, runner: Runner) -> None:
        """Starts the clock."""
        self._last = perf_counter()

    def before_iter(self, runner: Runner) -> None:
        """Notes the wait."""
        runner.log_buffer.update({"data_time": perf_counter() - self._last})

    def after_iter(self, runner: Runner) -> None:
        """Notes the time."""
        now = perf_counter()
        runner.log_buffer.update({"time": now - self._last})
        self._last = now


@HOOKS.register_module()
class ClosureHook(Hook):
    """Calls a function with the runner at one point.

    Args:
        fn_name: The point, such as ``after_train_epoch``.
        fn: The function.

    Raises:
        ConfigError: There is no such point, or `fn` can't be called.
    """

    def __init__(self, fn_name: str, fn: Callable[[Any], Any]) -> None:
        if fn_name not in _CLOSURE_POINTS:
            guess = did_you_mean(fn_name, _CLOSURE_POINTS)
            raise ConfigError(f"ClosureHook: there is no point {fn_name!r}{guess}")
        if not callable(fn):
            raise ConfigError(f"ClosureHook: fn must be a function, got {fn!r}")
        self.fn_name, self.fn = fn_name, fn
        setattr(self, fn_name, self._call)

    def _call(self, runner: Runner) -> None:
        self.fn(runner)

    def get_triggered_stages(self) -> list[str]:
        """The point; all those that a shared one stands for."""
        when, _, what = self.fn_name.partition("_")
        if self.fn_name in self.extra_points:
            return [f"{when}_{mode}_{what}" for mode in ("train", "val")]
        return [self.fn_name]


@MODELS.register_module()
class WarmedUpEMA(ExponentialMovingAverage):
    """The average of MMCV 1.x: its momentum rises as ``(1 + i) / (warm_up + i)`` to ``momentum ** interval``.

    Args:
        model: See `ExponentialMovingAverage`, as for `momentum` and `interval`.
        momentum: Share of the new weights.
        interval: Iterations from one update to the next.
        warm_up: How slowly the momentum rises.
    """

    def __init__(
        self, model: torch.nn.Module, momentum: float = 0.0002, interval: int = 1, warm_up: int = 100
    ) -> None:
        super().__init__(model, momentum**interval, interval)
        self.warm_up = warm_up

    def avg_weight(self, steps: int) -> float:
        """The momentum at iteration `steps`."""
        return min(self.momentum, (1 + steps) / (self.warm_up + steps))


@HOOKS.register_module()
class EMAHook(present.EMAHook):
    """Keeps an average of the weights, which stands in their place from an epoch's end to the next one.

    So evaluations and checkpoints at the end of an epoch have the average, as in MMCV; but a checkpoint's
    `state_dict` holds plain keys, and the trained weights are in `ema_state_dict`.

    Args:
        momentum: Share of the new weights, above 0 and below 1.
        interval: Iterations from one update to the next.
        warm_up: See `WarmedUpEMA`.
        resume_from: A checkpoint to go on from; the runner's `resume` does the same.
    """

    priority = "NORMAL"

    def __init__(
        self,
        momentum: float = 0.0002,
        interval: int = 1,
        warm_up: int = 100,
        resume_from: str | None = None,
    ) -> None:
        super().__init__(ema_type="WarmedUpEMA", momentum=momentum, interval=interval, warm_up=warm_up)
        self.resume_from = resume_from

    def before_run(self, runner: Runner) -> None:
        """Makes the average."""
        super().before_run(runner)
        if self.resume_from is not None:
            source, self.resume_from = self.resume_from, None
            runner.resume(source)

    def before_train_epoch(self, runner: Runner) -> None:
        """Puts the trained weights back."""
        self._put_weights_back()

    def after_train_epoch(self, runner: Runner) -> None:
        """Puts the average in place."""
        self._put_average_in()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Leaves the average in place until the next epoch of training."""
