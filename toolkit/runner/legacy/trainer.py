"""maskrcnn-benchmark's `do_train`, over the iteration-based runner."""

from __future__ import annotations

import warnings
from collections.abc import MutableMapping
from datetime import timedelta
from time import perf_counter
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from toolkit.dist import all_reduce_dict
from toolkit.runner.legacy.checkpointer import Checkpointer
from toolkit.runner.legacy.forward import mover
from toolkit.runner.legacy.hook import Hook, Runner
from toolkit.runner.legacy.metric_logger import MetricLogger
from toolkit.runner.legacy.optimizer_hook import OptimizerHook
from toolkit.runner.legacy.runner import IterBasedRunner

_LOG_INTERVAL = 20


def do_train(
    model: nn.Module,
    data_loader: Any,
    optimizer: Optimizer,
    scheduler: Any,
    checkpointer: Checkpointer,
    device: torch.device | str,
    checkpoint_period: int,
    arguments: MutableMapping[str, Any],
) -> None:
    """Train a model that is called as ``model(images, targets)`` and gives a dict of losses.

    Args:
        model: On its device, wrapped or not.
        data_loader: Yields ``(images, targets, image_ids)``; its length is that of the whole training. One
            that is resumed yields the rest, as one with an `IterationBasedBatchSampler` does.
        optimizer: Takes a step for each batch.
        scheduler: Its `step` is called before each iteration.
        checkpointer: Saves ``model_0002500`` and so on, and ``model_final``.
        device: Where images and targets are moved to.
        checkpoint_period: Iterations from one checkpoint to the next.
        arguments: ``iteration`` is where training begins, and is kept up to date.
    """
    model.train()
    runner = IterBasedRunner(
        model,
        batch_processor=_Forward(device),
        optimizer=optimizer,
        work_dir=checkpointer.save_dir or None,
        max_iters=len(data_loader),
    )
    runner.register_hook(_Progress(scheduler, arguments), "VERY_HIGH")
    runner.register_hook(OptimizerHook(), "ABOVE_NORMAL")
    runner.register_hook(_Saving(checkpointer, checkpoint_period, arguments), "NORMAL")
    runner.register_hook(_Meters(), "LOW")
    runner.run([data_loader], [("train", 1)])


class _Forward:
    """A batch through the model: the losses of all ranks are logged, this one's is minimised."""

    def __init__(self, device: torch.device | str) -> None:
        self._mover = mover(device)

    def __call__(self, model: nn.Module, data: Any, train_mode: bool) -> dict[str, Any]:
        images, targets = (self._to_device(part) for part in data[:2])
        losses: dict[str, torch.Tensor] = model(images, targets)
        loss = sum(losses.values(), start=torch.zeros((), device=next(iter(losses.values())).device))
        logged = {"loss": loss.detach(), **{name: value.detach() for name, value in losses.items()}}
        all_reduce_dict(logged, op="mean")
        return {"loss": loss, "log_vars": logged, "num_samples": len(targets)}

    def _to_device(self, part: Any) -> Any:
        if isinstance(part, (list, tuple)) and part and not isinstance(part[0], (torch.Tensor, dict)):
            return type(part)([self._to_device(one) for one in part])
        # Image and box lists of maskrcnn-benchmark know how to move.
        if hasattr(part, "to") and not isinstance(part, torch.Tensor):
            return part.to(self._mover.device)
        return self._mover.cast_data(part)


class _Progress(Hook):
    """Begins at the iteration of `arguments`, keeps it up to date, and leads the scheduler."""

    def __init__(self, scheduler: Any, arguments: MutableMapping[str, Any]) -> None:
        self.scheduler, self.arguments = scheduler, arguments

    def before_run(self, runner: Runner) -> None:
        runner.train_loop.start_at(int(self.arguments.get("iteration", 0)))

    def before_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        self.arguments["iteration"] = runner.iter + 1
        with warnings.catch_warnings():
            # The order is maskrcnn-benchmark's: its first iteration has the rate after one step.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            self.scheduler.step()


class _Saving(Hook):
    def __init__(self, checkpointer: Checkpointer, period: int, arguments: MutableMapping[str, Any]) -> None:
        self.checkpointer, self.period, self.arguments = checkpointer, period, arguments

    def after_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        done = runner.iter + 1
        if done % self.period == 0:
            self.checkpointer.save(f"model_{done:07d}", **self.arguments)
        if done == runner.max_iters:
            self.checkpointer.save("model_final", **self.arguments)


class _Meters(Hook):
    """Logs a line every 20 iterations."""

    def __init__(self) -> None:
        self.meters = MetricLogger(delimiter="  ")
        self._end = self._waited = perf_counter()

    def before_epoch(self, runner: Runner) -> None:
        self._end = perf_counter()

    def before_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        self._waited = perf_counter()

    def after_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        now, done = perf_counter(), runner.iter + 1
        self.meters.update(**runner.outputs["log_vars"])
        self.meters.update(time=now - self._end, data=self._waited - self._end)
        self._end = now
        if done % _LOG_INTERVAL and done != runner.max_iters:
            return
        left = int(self.meters.time.global_avg * (runner.max_iters - done))
        parts = [f"eta: {timedelta(seconds=left)}", f"iter: {done}", str(self.meters)]
        parts.append(f"lr: {runner.current_lr()[0]:.6f}")
        if torch.cuda.is_available():
            parts.append(f"max mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}")
        runner.logger.info(self.meters.delimiter.join(parts))
