"""Validates, tests and saves an average of the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.model import is_model_wrapper
from toolkit.registry import HOOKS, MODELS
from toolkit.utils import ConfigError

_PREFIX = "module."


@HOOKS.register_module()
class EMAHook(Hook):
    """Keeps an average of the model's weights and puts it in their place for validation, test and saving.

    In a checkpoint `state_dict` are the averaged weights, which is what a user of the model wants, and
    `ema_state_dict` are the trained ones with the average's own state, which a resumed run swaps back.

    Args:
        ema_type: Registered name of the average.
        strict_load: Whether a resumed average must have exactly the model's keys.
        begin_iter: The first iteration (from 1) that is averaged.
        begin_epoch: The first epoch (from 1) that is averaged; not together with `begin_iter`.
        **kwargs: Arguments of the average, such as `momentum` and `interval`.
    """

    priority = "NORMAL"

    def __init__(
        self,
        ema_type: str = "ExponentialMovingAverage",
        strict_load: bool = False,
        begin_iter: int = 0,
        begin_epoch: int = 0,
        **kwargs: Any,
    ) -> None:
        if begin_iter and begin_epoch:
            raise ConfigError("EMAHook: begin_iter and begin_epoch say the same thing; set one of them")
        if begin_iter < 0 or begin_epoch < 0:
            raise ConfigError("EMAHook: begin_iter and begin_epoch are 0 or more")
        self.strict_load = strict_load
        self.begin_iter = begin_iter
        self.begin_epoch = begin_epoch
        self.ema_cfg = {"type": ema_type, **kwargs}
        self.src_model: nn.Module | None = None
        self.ema_model: Any = None
        self._in_place = False

    def before_run(self, runner: Runner) -> None:
        """Makes the average, unless there is one of this model from a run before or a checkpoint."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if model is not self.src_model:
            self.src_model = model
            self.ema_model = MODELS.build(self.ema_cfg, default_args={"model": model})

    def before_train(self, runner: Runner) -> None:
        """Checks that the average begins within training."""
        for name, begin, end in (
            ("begin_epoch", self.begin_epoch, runner.max_epochs),
            ("begin_iter", self.begin_iter, runner.max_iters),
        ):
            if begin > end:
                raise ConfigError(f"EMAHook: {name}={begin} lies behind the end of training at {end}")

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Takes the new weights into the average; the first ones are taken whole."""
        if runner.iter + 1 >= self.begin_iter and runner.epoch + 1 >= self.begin_epoch:
            self.ema_model.update_parameters(self.src_model)

    def before_val_epoch(self, runner: Runner) -> None:
        """Puts the average in place."""
        self._put_average_in()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Puts the trained weights back."""
        self._put_weights_back()

    def before_test_epoch(self, runner: Runner) -> None:
        """Puts the average in place."""
        self._put_average_in()

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Puts the trained weights back."""
        self._put_weights_back()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Makes the average the checkpoint's `state_dict`."""
        if not self._started:
            return
        checkpoint["ema_state_dict"] = {
            key: value.detach().cpu() for key, value in self.ema_model.state_dict().items()
        }
        if not self._in_place:
            _swap_entries(checkpoint)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Resuming, puts the trained weights back into `state_dict`; else the average begins anew."""
        self.before_run(runner)
        if "ema_state_dict" in checkpoint and getattr(runner, "_resume", False):
            _swap_entries(checkpoint)
            self.ema_model.load_state_dict(checkpoint["ema_state_dict"], strict=self.strict_load)
        else:
            self.ema_model.steps.zero_()

    @property
    def _started(self) -> bool:
        return int(self.ema_model.steps) > 0

    def _put_average_in(self) -> None:
        if self._started and not self._in_place:
            self._exchange()
            self._in_place = True

    def _put_weights_back(self) -> None:
        if self._in_place:
            self._exchange()
            self._in_place = False

    @torch.no_grad()
    def _exchange(self) -> None:
        # By value: the optimizer, compiled graphs and wrappers hold on to the tensors themselves.
        for own, average in self._pairs():
            kept = own.detach().clone()
            own.copy_(average)
            average.copy_(kept)

    def _pairs(self) -> list[tuple[Tensor, Tensor]]:
        assert self.src_model is not None
        average = self.ema_model.module
        pairs: list[tuple[Tensor, Tensor]] = []
        pairs += zip(self.src_model.parameters(), average.parameters(), strict=True)
        if self.ema_model.update_buffers:
            pairs += zip(self.src_model.buffers(), average.buffers(), strict=True)
        return pairs


def _swap_entries(checkpoint: dict[str, Any]) -> None:
    weights, average = checkpoint["state_dict"], checkpoint["ema_state_dict"]
    for key, value in list(average.items()):
        name = key.removeprefix(_PREFIX)
        if key.startswith(_PREFIX) and name in weights:
            weights[name], average[key] = value, weights[name]
