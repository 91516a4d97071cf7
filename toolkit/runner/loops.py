"""The training loops, by epoch and by iteration.

What they do is `run`, `run_epoch` and `run_iter`. The rest keeps the position of a run, which a checkpoint
holds and a resumed run goes on from. `epoch` and `iter` count as hooks know them: up after
`after_train_epoch` and `after_train_iter`. A checkpoint made inside those points must count the step or epoch
that is over, and must know whether the validation that is due after it has been run; so that is what
`state_dict` says.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from toolkit.registry import LOOPS
from toolkit.runner.base_loop import BaseLoop, checked_count
from toolkit.runner.evaluation import EvaluationLoop, TestLoop, ValLoop
from toolkit.runner.samples import naming_samples
from toolkit.runner.stream import BatchStream, describe
from toolkit.utils.errors import DataError, TrainingError
from toolkit.utils.seed import set_rng_state

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from toolkit.runner.runner import Runner

__all__ = [
    "BaseLoop",
    "EpochBasedTrainLoop",
    "EvaluationLoop",
    "IterBasedTrainLoop",
    "TestLoop",
    "TrainLoop",
    "ValLoop",
]


class TrainLoop(BaseLoop):
    """What both training loops share: one iteration, when to validate, and the position.

    Args:
        runner: The runner that the loop belongs to.
        dataloader: A DataLoader, or the config of one.
        val_begin: The first epoch (iteration) that may be followed by a validation.
        val_interval: Epochs (iterations) from one validation to the next; one follows the last.
        dynamic_intervals: ``(milestone, interval)`` pairs: once `milestone` - 1 epochs (iterations) are done,
            `val_interval` is `interval`.

    Attributes:
        stop_training: Set by a hook to end training after the present epoch (iteration).
    """

    _epoch: int
    _iter: int
    _max_epochs: int
    _max_iters: int

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader)
        self.val_begin = checked_count("val_begin", val_begin)
        self.val_interval = checked_count("val_interval", val_interval, least=1)
        pairs = sorted(
            (int(at), checked_count("an interval of dynamic_intervals", interval, least=1))
            for at, interval in dynamic_intervals or ()
        )
        self.dynamic_milestones = [0, *(at for at, _ in pairs)]
        self.dynamic_intervals = [self.val_interval, *(interval for _, interval in pairs)]
        self.stop_training = False
        self.stream = BatchStream(self.dataloader)
        self._epoch = self._iter = 0
        self._steps = 0  # iterations whose training step is over
        self._batch = 0  # batches of the present epoch whose training step is over
        self._val_due = False
        self._rng: dict[str, Any] | None = None

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """One iteration: hooks, a training step, hooks."""
        runner = self._runner
        # `runner.call_hook`, without packing the arguments once a hook.
        for hook in runner.hook_manager.callbacks("before_train_iter"):
            hook(runner, batch_idx=idx, data_batch=data_batch)
        try:
            outputs = runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        except TrainingError as error:
            raise naming_samples(error, data_batch, self._epoch, self._iter) from error.__cause__
        self._steps += 1
        self._batch = idx + 1
        for hook in runner.hook_manager.callbacks("after_train_iter"):
            hook(runner, batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1

    def _validate(self, done: int, last: int) -> None:
        """Run the validation, if one is due after `done` of `last` epochs (iterations)."""
        self.val_interval = self.dynamic_intervals[bisect.bisect(self.dynamic_milestones, done + 1) - 1]
        self._val_due = False
        if done >= self.val_begin and (done % self.val_interval == 0 or done == last):
            val_loop = self._runner.val_loop
            if val_loop is not None:
                val_loop.run()

    @property
    def max_epochs(self) -> int:
        """Epochs of the whole training; 1 where it is counted in iterations."""
        return self._max_epochs

    @property
    def max_iters(self) -> int:
        """Iterations of the whole training."""
        return self._max_iters

    @property
    def epoch(self) -> int:
        """Epochs completed."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Iterations completed."""
        return self._iter

    def resume_rng(self, state: dict[str, Any] | None) -> None:
        """Have the random generators put into a saved state where training goes on."""
        self._rng = state

    def _restore_rng(self, *, last: bool) -> None:
        if self._rng is not None:
            set_rng_state(self._rng)
            if last:
                self._rng = None


@LOOPS.register_module()
class EpochBasedTrainLoop(TrainLoop):
    """Training counted in epochs.

    Args:
        max_epochs: Epochs to train. The other arguments are those of `TrainLoop`, counted in epochs.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals)
        self._max_epochs = checked_count("max_epochs", max_epochs)
        if len(self.dataloader) == 0:
            raise DataError(f"the training dataloader yields no batch: {describe(self.dataloader)}")
        self._max_iters = self._max_epochs * len(self.dataloader)
        self._epoch_over = False

    def run(self) -> nn.Module:
        """Train; returns the model."""
        self.runner.call_hook("before_train")
        self._restore_rng(last=not self._batch)
        if self._val_due:
            self._validate(self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate(self._epoch, self._max_epochs)
        self.runner.call_hook("after_train")
        model: nn.Module = self.runner.model
        return model

    def run_epoch(self) -> None:
        """One epoch, or what is left of it."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in self._rest_of_epoch():
            self.run_iter(idx, data_batch)
        self._epoch_over = True
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
        self._begin_epoch()

    def _rest_of_epoch(self) -> Iterator[tuple[int, Any]]:
        done = self._batch
        batches = self.stream.start(self._epoch, done) if done < len(self.dataloader) else iter(())
        self._restore_rng(last=True)
        return enumerate(batches, done)

    def _begin_epoch(self) -> None:
        self._epoch_over, self._batch, self._val_due = False, 0, True

    def state_dict(self) -> dict[str, Any]:
        """The position: epochs, iterations and batches that are trained, and whether to validate first."""
        over = self._epoch_over
        return {
            "epoch": self._epoch + over,
            "iter": max(self._steps, self._iter),
            "batch": 0 if over else self._batch,
            "val_due": over or self._val_due,
            "epoch_length": len(self.dataloader),
            "stream": {} if over else self.stream.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position that `state_dict` gave.

        If the dataloader has another length now, a position within an epoch means nothing any more: the epoch
        is begun anew.
        """
        self._epoch, self._iter = int(state["epoch"]), int(state["iter"])
        self._steps = self._iter
        self._batch, self._val_due = int(state.get("batch", 0)), bool(state.get("val_due", False))
        length = state.get("epoch_length", len(self.dataloader))
        if length != len(self.dataloader):
            self.runner.logger.warning(
                f"the checkpoint was made with {length} iterations an epoch, there are "
                f"{len(self.dataloader)} now; "
                f"training goes on from the start of epoch {self._epoch + 1}"
            )
            self._batch, self._iter = 0, self._epoch * len(self.dataloader)
            self._steps = self._iter
        self.stream.load_state_dict(state.get("stream", {}))


@LOOPS.register_module()
class IterBasedTrainLoop(TrainLoop):
    """Training counted in iterations; for the hooks, all of it is one epoch.

    Args:
        max_iters: Iterations to train. The other arguments are those of `TrainLoop`, counted in iterations.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader[Any] | Mapping[str, Any],
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader, val_begin, val_interval, dynamic_intervals)
        self._max_iters = checked_count("max_iters", max_iters)
        self._max_epochs = 1

    def run(self) -> nn.Module:
        """Train; returns the model."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        batches = self.stream.endless(self.stream.epoch, self.stream.batch)
        self._restore_rng(last=True)
        if self._val_due:
            self._validate(self._iter, self._max_iters)
        while self._iter < self._max_iters and not self.stop_training:
            self.run_iter(self._iter, next(batches))
            self._validate(self._iter, self._max_iters)
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        model: nn.Module = self.runner.model
        return model

    def state_dict(self) -> dict[str, Any]:
        """The position: iterations that are trained, that of the data, and whether to validate first."""
        steps = max(self._steps, self._iter)
        in_flight = self.stream.drawn - steps
        return {
            "epoch": self._epoch,
            "iter": steps,
            "loader_epoch": self.stream.epoch,
            "batch": self.stream.batch - in_flight,
            "val_due": self._val_due or steps > self._iter,
            "stream": self.stream.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position that `state_dict` gave."""
        self._epoch, self._iter = int(state["epoch"]), int(state["iter"])
        self._steps, self._val_due = self._iter, bool(state.get("val_due", False))
        self.stream.epoch = int(state.get("loader_epoch", 0))
        self.stream.batch = int(state.get("batch", self._iter))
        self.stream.drawn = self._iter
        self.stream.load_state_dict(state.get("stream", {}))
