"""Profiles the first part of a training with `torch.profiler`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, tensorboard_trace_handler
from torch.profiler import schedule as make_schedule

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.registry import HOOKS
from toolkit.utils import ConfigError, did_you_mean

_TRACES = ("log_trace", "tb_trace")


@HOOKS.register_module()
class ProfilerHook(Hook):
    """Records what operators take in the first epochs or iterations.

    Args:
        by_epoch: Whether `profile_times` counts epochs, or iterations.
        profile_times: How many are recorded.
        activity_with_cpu: Record the CPU.
        activity_with_cuda: Record CUDA devices.
        schedule: Arguments of `torch.profiler.schedule`: `wait`, `warmup`, `active`, `repeat`, `skip_first`.
        on_trace_ready: `dict(type='log_trace', sort_by=..., row_limit=...)` logs a table;
            `dict(type='tb_trace', dir_name=...)` writes a trace; or a function of the profiler.
        record_shapes: Record the shapes of inputs.
        profile_memory: Record memory.
        with_stack: Record source lines.
        with_flops: Estimate floating-point operations.
        json_trace_path: File for a trace that Chrome shows.

    Raises:
        ConfigError: Arguments that don't fit.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        *,
        by_epoch: bool = True,
        profile_times: int = 1,
        activity_with_cpu: bool = True,
        activity_with_cuda: bool = False,
        schedule: Mapping[str, Any] | None = None,
        on_trace_ready: Callable[[Any], Any] | Mapping[str, Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        json_trace_path: str | None = None,
    ) -> None:
        if profile_times < 1:
            raise ConfigError(f"ProfilerHook: profile_times is at least 1, got {profile_times}")
        self.by_epoch = by_epoch
        self.profile_times = profile_times
        self.activities = [ProfilerActivity.CPU] if activity_with_cpu else []
        if activity_with_cuda:
            self.activities.append(ProfilerActivity.CUDA)
        if not self.activities:
            raise ConfigError("ProfilerHook: neither CPU nor CUDA is recorded")
        self.schedule = None if schedule is None else make_schedule(**schedule)
        self.on_trace_ready = on_trace_ready
        self.options: dict[str, Any] = {
            "record_shapes": record_shapes,
            "profile_memory": profile_memory,
            "with_stack": with_stack,
            "with_flops": with_flops,
        }
        self.json_trace_path = json_trace_path
        self._profiler: Any = None
        self._done = 0

    def before_train(self, runner: Runner) -> None:
        """Starts recording."""
        limit = runner.max_epochs if self.by_epoch else runner.max_iters
        if self.profile_times > limit:
            raise ConfigError(
                f"ProfilerHook: profile_times={self.profile_times} is more than the run has: {limit}"
            )
        if ProfilerActivity.CUDA in self.activities and not torch.cuda.is_available():
            raise ConfigError("ProfilerHook: activity_with_cuda=True, but there is no CUDA device")
        if self._done >= self.profile_times:  # in the run that this one resumes
            return
        self._profiler = profile(
            activities=self.activities,
            schedule=self.schedule,
            on_trace_ready=self._handler(runner),
            **self.options,
        )
        self._profiler.__enter__()
        runner.logger.info("the profiler records from here on, which slows training down")

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Counts the step."""
        if self._profiler is None:
            return
        self._profiler.step()
        if not self.by_epoch:
            self._count(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Counts the epoch."""
        if self._profiler is not None and self.by_epoch:
            self._count(runner)

    def after_train(self, runner: Runner) -> None:
        """Stops recording, where training ended before it was to."""
        if self._profiler is not None:
            self._finish(runner)

    def state_dict(self) -> dict[str, Any]:
        """How many epochs or iterations are recorded."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes it back."""
        self._done = state_dict["done"]

    def _count(self, runner: Runner) -> None:
        self._done += 1
        if self._done == self.profile_times:
            self._finish(runner)

    def _finish(self, runner: Runner) -> None:
        profiler, self._profiler = self._profiler, None
        profiler.__exit__(None, None, None)
        if self.json_trace_path is not None:
            Path(self.json_trace_path).parent.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(self.json_trace_path)
        runner.logger.info("the profiler has stopped")

    def _handler(self, runner: Runner) -> Callable[[Any], Any] | None:
        given = self.on_trace_ready
        if given is None or callable(given):
            return given
        cfg = dict(given)
        kind = cfg.pop("type", None)
        if kind == "tb_trace":
            folder = cfg.pop("dir_name", str(Path(runner.log_dir) / "tf_tracing_logs"))
            handler: Callable[[Any], Any] = tensorboard_trace_handler(folder, **cfg)
            return handler
        if kind == "log_trace":
            table = {"sort_by": "self_cpu_time_total", "row_limit": 100, **cfg}
            return lambda profiler: runner.logger.info(profiler.key_averages().table(**table))
        raise ConfigError(
            f"ProfilerHook: on_trace_ready has type {kind!r}{did_you_mean(str(kind), _TRACES)}: {_TRACES}"
        )
