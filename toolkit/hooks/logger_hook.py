"""Writes the log: lines, files, backends, and a live bar on a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from toolkit.dist import master_only
from toolkit.fileio import either_args
from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.hooks.interval import checked_interval
from toolkit.registry import HOOKS
from toolkit.utils import ConfigError

Tag = dict[str, Any]


@HOOKS.register_module()
class LoggerHook(Hook):
    """At every log point: one line to console and file, and the numbers to the visualizer's backends.

    All numbers lie on one axis, the iterations of training that were done.

    Args:
        interval: Log after every so many iterations of an epoch (of the run, where it counts iterations).
        ignore_last: Do not log an epoch's last iterations if they are fewer than `interval`.
        interval_exp_name: Repeat the experiment's name after every so many iterations.
        out_dir: Copy the logs to a folder of this folder or URL when all is done.
        out_suffix: Which files, by how their names end.
        keep_local: Whether they stay where they were too.
        file_client_args: The former name of `backend_args`.
        log_metric_by_epoch: Put validation metrics at the epoch instead of the iteration. MMEngine does; then
            they can't be seen beside the losses.
        backend_args: Options of the file system of `out_dir`.
        progress_bar: Whether to show a live bar; None means where the output is a terminal.

    Raises:
        ConfigError: An interval is not positive, or `keep_local` is off without an `out_dir`.
    """

    priority = "BELOW_NORMAL"

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        interval_exp_name: int = 1000,
        out_dir: str | os.PathLike[str] | None = None,
        out_suffix: str | Sequence[str] = (".json", ".log", ".py", ".yaml"),
        keep_local: bool = True,
        file_client_args: dict[str, Any] | None = None,
        log_metric_by_epoch: bool = False,
        backend_args: dict[str, Any] | None = None,
        progress_bar: bool | None = None,
    ) -> None:
        if out_dir is None and not keep_local:
            raise ConfigError("LoggerHook: keep_local=False without an out_dir would throw the logs away")
        self.interval = checked_interval("LoggerHook", interval)
        self.ignore_last = ignore_last
        self.out_dir = None if out_dir is None else os.fspath(out_dir)
        self.out_suffix = (out_suffix,) if isinstance(out_suffix, str) else tuple(out_suffix)
        self.keep_local = keep_local
        self.log_metric_by_epoch = log_metric_by_epoch
        self.backend_args = either_args(file_client_args, backend_args)
        self.progress_bar = progress_bar
        self.json_log_path: str | None = None
        self.interval_exp_name = checked_interval("LoggerHook", interval_exp_name, "interval_exp_name")
        self._named = 0
        self._loop_length = 0
        self._done = 0
        self._bar: Any = None

    # The run.

    def before_run(self, runner: Runner) -> None:
        """Names the file of numbers, and makes the bar."""
        self.json_log_path = f"{runner.timestamp}.json"
        if runner.rank == 0 and self.progress_bar is not False:
            # rich takes a tenth of a second to import, and only a run that may show a bar needs it.
            from toolkit.logging.progress import LiveProgress

            self._bar = LiveProgress()
            self._bar.enabled = self.progress_bar or self._bar.enabled

    def after_run(self, runner: Runner) -> None:
        """Takes the bar away, closes the backends and copies the logs."""
        self._close_bar()
        runner.visualizer.close()
        if self.out_dir is not None:
            self._copy_logs(runner)

    # Training.

    def before_train_epoch(self, runner: Runner) -> None:
        """Looks up how long the epoch is (the whole run where that counts iterations); shows the bar."""
        by_epoch = getattr(runner, "by_epoch", True)
        self._loop_length = _length(runner.train_loop.dataloader) if by_epoch else runner.max_iters
        self._show_bar(runner, "train")

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Logs, if it is time."""
        done = batch_idx + 1
        if done % self.interval and done != self._loop_length:
            return
        self._repeat_name(runner, done == self._loop_length)
        short = self._loop_length <= self.interval
        if done % self.interval and self.ignore_last and not short:
            return
        tag, line = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        runner.logger.info(line)
        runner.visualizer.add_scalars(tag, step=runner.iter + 1, file_path=self.json_log_path)
        self._note(tag, runner.message_hub.get_info("eta"))

    def _repeat_name(self, runner: Runner, end_of_epoch: bool) -> None:
        named = (runner.iter + 1) // self.interval_exp_name
        if named > self._named or end_of_epoch:
            runner.logger.info(f"Exp name: {runner.experiment_name}")
        self._named = named

    def after_train(self, runner: Runner) -> None:
        """Takes the bar away."""
        self._close_bar()

    # Validation and test.

    def before_val_epoch(self, runner: Runner) -> None:
        """Shows the bar."""
        self._done = 0
        self._show_bar(runner, "val")

    def before_test_epoch(self, runner: Runner) -> None:
        """Shows the bar."""
        self._done = 0
        self._show_bar(runner, "test")

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Says how far it is, if it is time."""
        self._after_eval_iter(runner, batch_idx, "val")

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Says how far it is, if it is time."""
        self._after_eval_iter(runner, batch_idx, "test")

    def _after_eval_iter(self, runner: Runner, batch_idx: int, mode: str) -> None:
        self._done = batch_idx + 1
        if self.every_n_inner_iters(batch_idx, self.interval):
            _, line = runner.log_processor.get_log_after_iter(runner, batch_idx, mode)
            runner.logger.info(line)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Logs the metrics."""
        length = _length(runner.val_loop.dataloader)
        tag, line = runner.log_processor.get_log_after_epoch(runner, length, "val")
        runner.logger.info(line)
        step = runner.epoch if self.log_metric_by_epoch else runner.iter
        runner.visualizer.add_scalars(tag, step=step, file_path=self.json_log_path)

    def after_val(self, runner: Runner) -> None:
        """Shows the bar of the training that goes on."""
        if runner.message_hub.get_info("loop_stage") == "train" and runner.iter < runner.max_iters:
            self._show_bar(runner, "train")

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Logs the metrics, and writes them to a file of their own, so that training's numbers stay alone."""
        length = _length(runner.test_loop.dataloader)
        tag, line = runner.log_processor.get_log_after_epoch(runner, length, "test", with_non_scalar=True)
        runner.logger.info(line)
        self._dump_test_metrics(runner, tag)

    @master_only
    def _dump_test_metrics(self, runner: Runner, tag: Tag) -> None:
        import json

        path = Path(runner.log_dir) / str(self.json_log_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        numbers = {key: value for key, value in tag.items() if isinstance(value, (int, float, str))}
        path.write_text(json.dumps(numbers) + "\n", encoding="utf-8")

    # The bar.

    def _show_bar(self, runner: Runner, mode: str) -> None:
        if self._bar is None:
            return
        loop = getattr(runner, f"{mode}_loop")
        length = _length(loop.dataloader)
        if mode != "train":
            self._bar.show(lambda: mode.capitalize(), lambda: self._done, length)
        elif runner.log_processor.by_epoch:
            self._bar.show(
                lambda: f"Epoch {min(runner.epoch + 1, runner.max_epochs)}/{runner.max_epochs}",
                lambda: runner.iter - runner.epoch * length,
                length,
            )
        else:
            self._bar.show(lambda: "Iter", lambda: runner.iter, runner.max_iters)

    def _note(self, tag: Tag, eta: float | None) -> None:
        if self._bar is None or not self._bar.shown:
            return
        notes = {}
        if "loss" in tag:
            notes["loss"] = f"{tag['loss']:.4f}"
        if "lr" in tag:
            notes["lr"] = f"{tag['lr']:.2e}"
        if eta is not None:
            notes["eta"] = str(timedelta(seconds=int(eta)))
        self._bar.note(notes)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()

    # The copies.

    @master_only
    def _copy_logs(self, runner: Runner) -> None:
        import fsspec

        assert self.out_dir is not None
        home = Path(runner.log_dir)
        target = f"{self.out_dir.rstrip('/')}/{Path(runner.work_dir).name}/{home.name}"
        for path in sorted(home.rglob("*")):
            if not path.is_file() or not path.name.endswith(self.out_suffix):
                continue
            url = f"{target}/{path.relative_to(home).as_posix()}"
            with fsspec.open(url, "wb", auto_mkdir=True, **(self.backend_args or {})) as file:
                file.write(path.read_bytes())
            if not self.keep_local:
                path.unlink()
        runner.logger.info(f"the logs were copied to {target}")


def _length(dataloader: Any) -> int:
    """Batches of a dataloader, or -1 where it can't say."""
    try:
        return len(dataloader)
    except TypeError:
        return -1
