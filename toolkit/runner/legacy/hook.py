"""Hooks as MMCV 1.x has them: their methods get the runner alone."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from toolkit.hooks import Hook as PresentHook
from toolkit.registry import HOOKS as PRESENT_HOOKS
from toolkit.registry import Registry
from toolkit.runner.hooks_manager import HookManager
from toolkit.utils.errors import BuildError

# A runner of this package; hooks know it by its attributes.
Runner: TypeAlias = Any

# A table of its own: names such as `CheckpointHook` mean other classes here than in present configs.
HOOKS = Registry("legacy hook", scope="toolkit", base="toolkit.hooks:Hook")

_SHARED = ("before_epoch", "after_epoch", "before_iter", "after_iter")
_POINTS = tuple(
    f"{when}_{mode}_{what}"
    for mode in ("train", "val")
    for when in ("before", "after")
    for what in ("epoch", "iter")
)


class Hook(PresentHook):
    """Base of hooks written for MMCV 1.x: every method takes the runner, and nothing else.

    The methods that they override are `before_run`, `after_run`, those of training and validation such as
    `before_train_epoch` and `after_val_iter`, and `before_epoch`, `after_epoch`, `before_iter` and
    `after_iter`, which stand for both modes. What a method of the present hooks gets as an argument is an
    attribute of the runner: `runner.data_batch`, `runner.outputs`, `runner.inner_iter`.
    """

    extra_points = _SHARED

    def before_epoch(self, runner: Runner) -> None:
        """Before an epoch of any mode, and before an iteration-based run."""

    def after_epoch(self, runner: Runner) -> None:
        """After an epoch of any mode, and after an iteration-based run."""

    def before_iter(self, runner: Runner) -> None:
        """Before an iteration of any mode."""

    def after_iter(self, runner: Runner) -> None:
        """After an iteration of any mode."""

    def before_train_epoch(self, runner: Runner) -> None:
        """Before an epoch of training."""
        self.before_epoch(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Before an epoch of validation."""
        self.before_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """After an epoch of training; `runner.epoch` still names it, counted from 0."""
        self.after_epoch(runner)

    def after_val_epoch(self, runner: Runner) -> None:  # type: ignore[override]
        """After an epoch of validation."""
        self.after_epoch(runner)

    def before_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """Before a step of training."""
        self.before_iter(runner)

    def before_val_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """Before a batch of validation."""
        self.before_iter(runner)

    def after_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """After a step of training, with its result in `runner.outputs`."""
        self.after_iter(runner)

    def after_val_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """After a batch of validation, with its result in `runner.outputs`."""
        self.after_iter(runner)

    def every_n_inner_iters(self, runner: Runner, n: int) -> bool:
        """Whether the iteration ends a group of `n` within its epoch."""
        return n > 0 and (runner.inner_iter + 1) % n == 0

    def every_n_iters(self, runner: Runner, n: int) -> bool:
        """Whether the iteration ends a group of `n` of the run."""
        return n > 0 and (runner.iter + 1) % n == 0

    def end_of_epoch(self, runner: Runner) -> bool:  # type: ignore[override]
        """Whether the iteration is the last of its epoch."""
        return bool(runner.inner_iter + 1 == len(runner.data_loader))

    def is_last_epoch(self, runner: Runner) -> bool:
        """Whether the epoch is the last of the run."""
        return self.is_last_train_epoch(runner)

    def is_last_iter(self, runner: Runner) -> bool:
        """Whether the iteration is the last of the run."""
        return self.is_last_train_iter(runner)

    def _overrides(self, stage: str) -> bool:
        cls = type(self)
        if getattr(cls, stage) is not getattr(Hook, stage):
            return True
        when, _, what = stage.partition("_")
        shared = f"{when}_{what.rpartition('_')[2]}"
        return stage in _POINTS and getattr(cls, shared) is not getattr(Hook, shared)


class LegacyHooks(HookManager):
    """The hooks of a legacy runner: those of MMCV 1.x get the runner alone, present ones all they expect.

    Args:
        by_epoch: False where training counts iterations: then, as in MMCV, the run as a whole calls
            `before_epoch` and `after_epoch` of old hooks, and not `before_train_epoch`.
    """

    def __init__(self, by_epoch: bool) -> None:
        super().__init__()
        self.by_epoch = by_epoch

    def callbacks(self, point: str) -> tuple[Callable[..., Any], ...]:
        """The methods to call at a point, in order; see `HookManager.callbacks`."""
        found = self._bound.get(point)
        if found is None:
            bound = super().callbacks(point)
            if point in _POINTS:
                bound = tuple(self._adapted(method, point) for method in bound)
            self._bound[point] = found = bound
        return found

    def _adapted(self, method: Callable[..., Any], point: str) -> Callable[..., Any]:
        hook = getattr(method, "__self__", None)
        if not isinstance(hook, Hook):
            return method
        if not self.by_epoch and point in ("before_train_epoch", "after_train_epoch"):
            method = hook.before_epoch if point.startswith("before") else hook.after_epoch
        return _with_runner_alone(method)


def _with_runner_alone(method: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(runner: Any, **arguments: Any) -> None:
        method(runner)

    return call


def build_hook(cfg: Mapping[str, Any] | PresentHook) -> PresentHook:
    """A hook from its config: one of MMCV 1.x, or else a present one; a hook is passed through.

    Raises:
        BuildError: Neither registry has its ``type``.
    """
    if isinstance(cfg, PresentHook):
        return cfg
    kind = cfg.get("type")
    if (isinstance(kind, str) and kind in HOOKS.module_dict) or isinstance(kind, type):
        return HOOKS.build(dict(cfg))  # type: ignore[no-any-return]
    if isinstance(kind, str) and kind not in PRESENT_HOOKS:
        known = [*HOOKS.module_dict, *PRESENT_HOOKS.module_dict]
        near = difflib.get_close_matches(kind, known, n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise BuildError(f"no hook is registered as {kind!r}{guess} Register it with HOOKS.register_module()")
    return PRESENT_HOOKS.build(dict(cfg))  # type: ignore[no-any-return]
