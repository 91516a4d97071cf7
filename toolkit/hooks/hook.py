"""The base class of everything that is called at the points of a run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

from toolkit.hooks.priority import Priority
from toolkit.utils import ToolkitError

# Hooks know a runner by its attributes only, so that nothing here imports the runner.
Runner: TypeAlias = Any
DataBatch: TypeAlias = dict[str, Any] | tuple[Any, ...] | list[Any] | None

STAGES = (
    "before_run",
    "after_load_checkpoint",
    "before_train",
    "before_train_epoch",
    "before_train_iter",
    "after_train_iter",
    "after_train_epoch",
    "before_val",
    "before_val_epoch",
    "before_val_iter",
    "after_val_iter",
    "after_val_epoch",
    "after_val",
    "before_save_checkpoint",
    "after_train",
    "before_test",
    "before_test_epoch",
    "before_test_iter",
    "after_test_iter",
    "after_test_epoch",
    "after_test",
    "after_run",
)
# A method that stands for the same point of training, validation and test.
SHARED_POINTS = ("_before_epoch", "_after_epoch", "_before_iter", "_after_iter")
# How alike a method's name and a point's name are when it can only be a slip of the pen. Custom loops may
# call points of their own (`runner.call_hook('before_warmup')`), so a name unlike all of ours is left alone.
_MISSPELT = 0.85


class HookPointError(ToolkitError, TypeError):
    """A hook with a method that would never be called."""


class Hook:
    """Something that a runner calls at the points of a run, in the order of `priority`.

    A subclass overrides the points that it wants. `_before_epoch`, `_after_epoch`, `_before_iter` and
    `_after_iter` stand for the points of training, validation and test at once and get the `mode`.
    What a hook must remember over a resume goes through `state_dict` and `load_state_dict`.

    Attributes:
        priority: A name of `Priority` or a number from 0 (called first) to 100 (called last).
        stages: All points, in the order of a run.
        extra_points: Names of points that a loop of your own calls, where they look like one of `stages`
            and would be refused as misspelt.

    Raises:
        HookPointError: On the definition of a subclass, if one of its methods has a name that is nearly,
            but not quite, that of a point: it would never be called.
    """

    priority: int | str | Priority = "NORMAL"
    stages: ClassVar[tuple[str, ...]] = STAGES
    extra_points: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in vars(cls).items():
            points = SHARED_POINTS if name.startswith("_") else STAGES
            if name in points or name in cls.extra_points or not callable(value):
                continue
            near = difflib.get_close_matches(name, points, n=1, cutoff=_MISSPELT)
            if near:
                raise HookPointError(
                    f"{cls.__module__}.{cls.__qualname__}.{name} is no point of a run and would never be "
                    f"called; did you mean {near[0]!r}? "
                    "A point that your own loop calls goes into `extra_points`."
                )

    # The whole run.

    def before_run(self, runner: Runner) -> None:
        """Before training, validation or test starts."""

    def after_run(self, runner: Runner) -> None:
        """After all is done."""

    def before_train(self, runner: Runner) -> None:
        """Before the first epoch, when weights were loaded."""

    def after_train(self, runner: Runner) -> None:
        """After the last epoch."""

    def before_val(self, runner: Runner) -> None:
        """Before a validation."""

    def after_val(self, runner: Runner) -> None:
        """After a validation."""

    def before_test(self, runner: Runner) -> None:
        """Before the test."""

    def after_test(self, runner: Runner) -> None:
        """After the test."""

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Before `checkpoint` is written; it may be changed in place."""

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """After `checkpoint` was read and before its weights are used; it may be changed in place."""

    # Epochs.

    def before_train_epoch(self, runner: Runner) -> None:
        """Before an epoch of training."""
        self._before_epoch(runner, mode="train")

    def before_val_epoch(self, runner: Runner) -> None:
        """Before the validation set is gone through."""
        self._before_epoch(runner, mode="val")

    def before_test_epoch(self, runner: Runner) -> None:
        """Before the test set is gone through."""
        self._before_epoch(runner, mode="test")

    def after_train_epoch(self, runner: Runner) -> None:
        """After an epoch of training; `runner.epoch` still counts from 0 and names this epoch."""
        self._after_epoch(runner, mode="train")

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """After the validation set was gone through, with what its evaluator found."""
        self._after_epoch(runner, mode="val")

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """After the test set was gone through, with what its evaluator found."""
        self._after_epoch(runner, mode="test")

    # Iterations.

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Before a step of training on `data_batch`, number `batch_idx` of its epoch from 0."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="train")

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Before a batch of the validation set."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="val")

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: DataBatch = None) -> None:
        """Before a batch of the test set."""
        self._before_iter(runner, batch_idx=batch_idx, data_batch=data_batch, mode="test")

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """After a step of training; `outputs` are its losses, still on the device."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="train")

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """After a batch of the validation set; `outputs` are the data samples with predictions."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="val")

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """After a batch of the test set; `outputs` are the data samples with predictions."""
        self._after_iter(runner, batch_idx=batch_idx, data_batch=data_batch, outputs=outputs, mode="test")

    # What training, validation and test share.

    def _before_epoch(self, runner: Runner, mode: str = "train") -> None:
        """Before an epoch of any `mode`."""

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        """After an epoch of any `mode`."""

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: DataBatch = None, mode: str = "train"
    ) -> None:
        """Before an iteration of any `mode`."""

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | dict[str, Any] | None = None,
        mode: str = "train",
    ) -> None:
        """After an iteration of any `mode`."""

    # State.

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, in plain containers and tensors."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""

    # Questions that hooks ask.

    def every_n_epochs(self, runner: Runner, n: int, start: int = 0) -> bool:
        """Whether the epoch that ends now is the `start`-th or a multiple of `n` epochs after it."""
        past: int = runner.epoch + 1 - start
        return n > 0 and past >= 0 and past % n == 0

    def every_n_inner_iters(self, batch_idx: int, n: int) -> bool:
        """Whether batch `batch_idx` (from 0) ends a group of `n` within its epoch."""
        return n > 0 and (batch_idx + 1) % n == 0

    def every_n_train_iters(self, runner: Runner, n: int, start: int = 0) -> bool:
        """Whether the iteration that ends now is the `start`-th or a multiple of `n` iterations after it."""
        past: int = runner.iter + 1 - start
        return n > 0 and past >= 0 and past % n == 0

    def end_of_epoch(self, dataloader: Any, batch_idx: int) -> bool:
        """Whether batch `batch_idx` (from 0) is the last of `dataloader`."""
        return batch_idx + 1 == len(dataloader)

    def is_last_train_epoch(self, runner: Runner) -> bool:
        """Whether the current epoch is the last of training."""
        return bool(runner.epoch + 1 == runner.max_epochs)

    def is_last_train_iter(self, runner: Runner) -> bool:
        """Whether the current iteration is the last of training."""
        return bool(runner.iter + 1 == runner.max_iters)

    def get_triggered_stages(self) -> list[str]:
        """The points that this hook overrides, itself or through a shared one, in the order of a run."""
        return [stage for stage in type(self).stages if self._overrides(stage)]

    def _overrides(self, stage: str) -> bool:
        cls = type(self)
        if getattr(cls, stage) is not getattr(Hook, stage):
            return True
        when, _, what = stage.partition("_")
        shared = f"_{when}_{what.rpartition('_')[2]}"
        return shared in SHARED_POINTS and getattr(cls, shared) is not getattr(Hook, shared)
