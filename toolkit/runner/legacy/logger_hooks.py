"""MMCV's loggers: lines with a file of JSON, and TensorBoard."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch

from toolkit.dist import master_only
from toolkit.runner.legacy.hook import HOOKS, Hook, Runner
from toolkit.utils import ConfigError


class LoggerHook(Hook):
    """Base of loggers: averages the numbers at each log point, and calls `log`.

    Args:
        interval: Iterations from one log point to the next.
        ignore_last: Whether an epoch's last iterations, if fewer than `interval`, are left out.
        reset_flag: Whether the averages are cleared once they are logged.
        by_epoch: Whether log points are counted within the epoch.
    """

    priority = "VERY_LOW"

    def __init__(
        self, interval: int = 10, ignore_last: bool = True, reset_flag: bool = False, by_epoch: bool = True
    ) -> None:
        if interval < 1:
            raise ConfigError(f"{type(self).__name__}: interval is at least 1, got {interval}")
        self.interval = interval
        self.ignore_last = ignore_last
        self.reset_flag = reset_flag
        self.by_epoch = by_epoch

    def log(self, runner: Runner) -> None:
        """Log what is in `runner.log_buffer.output`."""
        raise NotImplementedError(f"{type(self).__name__} must implement log")

    # What there is to log.

    def get_mode(self, runner: Runner) -> str:
        """'train', or 'val' also where the output is that of an evaluation."""
        return "train" if runner.mode == "train" and "time" in runner.log_buffer.output else "val"

    def get_epoch(self, runner: Runner) -> int:
        """The epoch that the numbers are of, from 1."""
        return int(runner.epoch + 1 if runner.mode == "train" else runner.epoch)

    def get_iter(self, runner: Runner, inner_iter: bool = False) -> int:
        """Iterations done, of the run, or of the epoch."""
        return int(runner.inner_iter + 1 if self.by_epoch and inner_iter else runner.iter + 1)

    def get_step(self, runner: Runner) -> int:
        """Where the numbers lie on the axis of a plot."""
        whole_epoch = self.get_mode(runner) == "val" and self.by_epoch
        return self.get_epoch(runner) if whole_epoch else self.get_iter(runner)

    def get_lr_tags(self, runner: Runner) -> dict[str, float]:
        """The learning rate of the first group, by optimizer where there are several."""
        return _tags("learning_rate", runner.current_lr())

    def get_momentum_tags(self, runner: Runner) -> dict[str, float]:
        """The momentum of the first group, by optimizer where there are several."""
        return _tags("momentum", runner.current_momentum())

    def get_loggable_tags(
        self,
        runner: Runner,
        allow_scalar: bool = True,
        allow_text: bool = False,
        add_mode: bool = True,
        tags_to_skip: tuple[str, ...] = ("time", "data_time"),
    ) -> dict[str, Any]:
        """The numbers to log by name, with the mode before it where `add_mode`."""
        tags: dict[str, Any] = {}
        for name, value in runner.log_buffer.output.items():
            number = isinstance(value, (int, float)) or (
                isinstance(value, torch.Tensor) and value.numel() == 1
            )
            wanted = allow_scalar if number else allow_text and isinstance(value, str)
            if wanted and name not in tags_to_skip:
                tags[f"{self.get_mode(runner)}/{name}" if add_mode else name] = value
        if runner.optimizer is not None:
            tags.update(self.get_lr_tags(runner))
            tags.update(self.get_momentum_tags(runner))
        return tags

    # Points.

    def before_run(self, runner: Runner) -> None:
        """Only the last logger may clear the averages: all others need them too."""
        loggers = [hook for hook in runner.hooks if isinstance(hook, LoggerHook)]
        loggers[-1].reset_flag = True

    def before_epoch(self, runner: Runner) -> None:
        """Forgets the numbers of the epoch before."""
        runner.log_buffer.clear()

    def after_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """Logs, if it is time."""
        if self.by_epoch:
            due = self.every_n_inner_iters(runner, self.interval)
            due = due or (self.end_of_epoch(runner) and not self.ignore_last)
        else:
            due = self.every_n_iters(runner, self.interval)
        if due:
            runner.log_buffer.average(self.interval)
        if runner.log_buffer.ready:
            self._log(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Logs what a hook made of the epoch, such as an evaluation."""
        if runner.log_buffer.ready:
            self._log(runner)

    def after_val_epoch(self, runner: Runner) -> None:  # type: ignore[override]
        """Logs the means of the validation."""
        runner.log_buffer.average()
        self._log(runner)

    def _log(self, runner: Runner) -> None:
        self.log(runner)
        if self.reset_flag:
            runner.log_buffer.clear_output()


def _tags(name: str, values: Any) -> dict[str, float]:
    if isinstance(values, dict):
        return {f"{name}/{key}": each[0] for key, each in values.items()}
    return {name: values[0]}


@HOOKS.register_module()
class TextLoggerHook(LoggerHook):
    """A line to the logger, and one of JSON to ``work_dir/TIMESTAMP.log.json``.

    Args:
        by_epoch: See `LoggerHook`, as for the next three.
        interval: See `LoggerHook`.
        ignore_last: See `LoggerHook`.
        reset_flag: See `LoggerHook`.
        interval_exp_name: Repeat the experiment's name after every so many iterations.
    """

    def __init__(
        self,
        by_epoch: bool = True,
        interval: int = 10,
        ignore_last: bool = True,
        reset_flag: bool = False,
        interval_exp_name: int = 1000,
    ) -> None:
        super().__init__(interval, ignore_last, reset_flag, by_epoch)
        self.interval_exp_name = interval_exp_name
        self.json_log_path = ""
        self._time, self._since = 0.0, 0

    def before_run(self, runner: Runner) -> None:
        """Names the file."""
        super().before_run(runner)
        self.json_log_path = os.path.join(runner.work_dir, f"{runner.timestamp}.log.json")
        self._time, self._since = 0.0, runner.iter
        self._dump({"seed": runner.seed, "exp_name": runner.experiment_name})

    def log(self, runner: Runner) -> dict[str, Any]:  # type: ignore[override]
        """Writes both lines; returns the record."""
        mode, output = self.get_mode(runner), dict(runner.log_buffer.output)
        record: dict[str, Any] = {
            "mode": mode,
            "epoch": self.get_epoch(runner),
            "iter": self.get_iter(runner, inner_iter=True) if mode == "train" else runner.iter,
        }
        if runner.optimizer is not None:
            lr = runner.current_lr()
            record["lr"] = {k: v[0] for k, v in lr.items()} if isinstance(lr, dict) else lr[0]
        if mode == "train" and torch.cuda.is_available():
            record["memory"] = torch.cuda.max_memory_allocated() // 2**20
        record.update(output)
        runner.logger.info(self._line(runner, record))
        if mode == "train" and self.every_n_iters(runner, self.interval_exp_name):
            runner.logger.info(f"Exp name: {runner.experiment_name}")
        self._dump(record)
        return record

    def _line(self, runner: Runner, record: dict[str, Any]) -> str:
        if record["mode"] == "train" and self.by_epoch:
            head = f"Epoch [{record['epoch']}][{record['iter']}/{len(runner.data_loader)}]"
        elif record["mode"] == "train":
            head = f"Iter [{record['iter']}/{runner.max_iters}]"
        else:
            where = "Epoch" if self.by_epoch else "Iter"
            head = f"{where}({record['mode']}) [{record['epoch' if self.by_epoch else 'iter']}]"
        parts = []
        if "time" in record:
            self._time += record["time"] * self.interval
            done = max(runner.iter + 1 - self._since, 1)
            left = int(self._time / done * (runner.max_iters - runner.iter - 1))
            parts.append(f"eta: {timedelta(seconds=left)}")
        skipped = ("mode", "epoch", "iter")
        parts += [f"{name}: {_text(name, value)}" for name, value in record.items() if name not in skipped]
        return f"{head}\t{', '.join(parts)}"

    @master_only
    def _dump(self, record: dict[str, Any]) -> None:
        rounded = {
            name: round(value, 5) if isinstance(value, float) and name != "lr" else value
            for name, value in record.items()
        }
        with Path(self.json_log_path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded, default=str) + "\n")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3e}" if name == "lr" else f"{value:.4f}"


@HOOKS.register_module()
class TensorboardLoggerHook(LoggerHook):
    """Writes the numbers for TensorBoard.

    Args:
        log_dir: Where to; ``work_dir/tf_logs`` by default.
        **kwargs: Arguments of `LoggerHook`.
    """

    def __init__(self, log_dir: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.log_dir = log_dir
        self._backend: Any = None

    def before_run(self, runner: Runner) -> None:
        """Opens the backend."""
        super().before_run(runner)
        self._open(runner)

    @master_only
    def _open(self, runner: Runner) -> None:
        from toolkit.visualization import TensorboardVisBackend

        self._backend = TensorboardVisBackend(self.log_dir or os.path.join(runner.work_dir, "tf_logs"))

    def log(self, runner: Runner) -> None:
        """Writes the numbers."""
        if self._backend is not None:
            self._backend.add_scalars(self.get_loggable_tags(runner), step=self.get_step(runner))

    def after_run(self, runner: Runner) -> None:
        """Closes the backend."""
        if self._backend is not None:
            self._backend.close()
