"""Tells the message hub where the run is and what it found."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.registry import HOOKS


def is_scalar(value: Any) -> bool:
    """Whether `value` is one number: a number, or an array or tensor of one element."""
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return bool(value.size == 1) if isinstance(value, np.ndarray) else value.numel() == 1
    return isinstance(value, (int, float, np.number))


@HOOKS.register_module()
class RuntimeInfoHook(Hook):
    """Keeps the run's facts and numbers in `runner.message_hub`.

    Facts: `cfg`, `seed`, `experiment_name`, `epoch`, `iter`, `max_epochs`, `max_iters`, `loop_stage`
    ('train', 'val' or 'test'), `dataset_meta`. Numbers: `train/*` (losses and learning rates), `val/*` and
    `test/*` (metrics; those that are no numbers become facts).
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._outer_stage: str | None = None
        self._facts: dict[str, Any] = {}

    def before_run(self, runner: Runner) -> None:
        """Notes config, seed and name."""
        facts = {"seed": runner.seed, "experiment_name": runner.experiment_name}
        if runner.cfg is not None:
            facts["cfg"] = getattr(runner.cfg, "pretty_text", str(runner.cfg))
        runner.message_hub.update_info_dict(facts)

    def before_train(self, runner: Runner) -> None:
        """Notes the length of training, and from where learning rates are read."""
        hub = runner.message_hub
        self._facts = hub.runtime_info
        hub.update_info("loop_stage", "train")
        hub.update_info_dict(
            {
                "epoch": runner.epoch,
                "iter": runner.iter,
                "max_epochs": runner.max_epochs,
                "max_iters": runner.max_iters,
            }
        )
        metainfo = getattr(getattr(runner.train_dataloader, "dataset", None), "metainfo", None)
        if metainfo is not None:
            hub.update_info("dataset_meta", metainfo)
        hub.set_source("train", lambda: {name: lrs[0] for name, lrs in runner.optim_wrapper.get_lr().items()})

    def after_train(self, runner: Runner) -> None:
        """Ends the stage."""
        runner.message_hub.pop_info("loop_stage")
        runner.message_hub.set_source("train", None)

    def before_train_epoch(self, runner: Runner) -> None:
        """Notes the epoch."""
        runner.message_hub.update_info("epoch", runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Notes the iteration."""
        self._facts["iter"] = runner.iter

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Hands the losses on, unread."""
        if outputs is not None:
            runner.message_hub.update_scalars(outputs, "train")

    def before_val(self, runner: Runner) -> None:
        """Begins the stage."""
        self._outer_stage = runner.message_hub.get_info("loop_stage")
        runner.message_hub.update_info("loop_stage", "val")

    def after_val(self, runner: Runner) -> None:
        """Ends the stage."""
        self._end_stage(runner)

    def before_test(self, runner: Runner) -> None:
        """Begins the stage."""
        self._outer_stage = runner.message_hub.get_info("loop_stage")
        runner.message_hub.update_info("loop_stage", "test")

    def after_test(self, runner: Runner) -> None:
        """Ends the stage."""
        self._end_stage(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Notes the metrics."""
        self._note_metrics(runner, "val", metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Notes the metrics."""
        self._note_metrics(runner, "test", metrics)

    def _end_stage(self, runner: Runner) -> None:
        runner.message_hub.pop_info("loop_stage")
        if self._outer_stage is not None:
            runner.message_hub.update_info("loop_stage", self._outer_stage)
            self._outer_stage = None

    @staticmethod
    def _note_metrics(runner: Runner, mode: str, metrics: dict[str, float] | None) -> None:
        for key, value in (metrics or {}).items():
            if is_scalar(value):
                runner.message_hub.update_scalar(f"{mode}/{key}", value)
            else:
                runner.message_hub.update_info(f"{mode}/{key}", value)
