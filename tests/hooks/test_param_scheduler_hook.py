from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.hooks import Hook, ParamSchedulerHook

Make = Callable[..., Any]


class Rates(Hook):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.get_lr()["lr"][0])


def rates(make_runner: Make, scheduler: Any, metric: Any = None) -> list[float]:
    watch = Rates()
    make_runner(metric, param_scheduler=scheduler, custom_hooks=[watch]).train()
    return watch.rates


def test_by_iteration_and_by_epoch(make_runner: Make) -> None:
    by_iter = {"type": "MultiStepLR", "milestones": [2], "gamma": 0.5, "by_epoch": False}
    by_epoch = {"type": "MultiStepLR", "milestones": [1], "gamma": 0.1, "by_epoch": True}
    expected = [0.1] * 2 + [0.05] * 2 + [0.005] * 8
    assert rates(make_runner, [by_iter, by_epoch]) == pytest.approx(expected)


def test_by_metric(make_runner: Make, scores: Any) -> None:
    plateau = {"type": "ReduceOnPlateauLR", "monitor": "acc", "rule": "greater", "patience": 0, "factor": 0.5}
    assert rates(make_runner, plateau, scores(0.5, 0.4, 0.6)) == pytest.approx([0.1] * 8 + [0.05] * 4)


def test_named_optimizers() -> None:
    steps: list[str] = []

    def scheduler(name: str, by_epoch: bool) -> SimpleNamespace:
        return SimpleNamespace(by_epoch=by_epoch, step=lambda: steps.append(name))

    schedulers = {"gen": [scheduler("a", False), scheduler("b", True)], "disc": [scheduler("c", False)]}
    runner = SimpleNamespace(param_schedulers=schedulers)
    hook = ParamSchedulerHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train_epoch(runner)
    assert steps == ["a", "c", "b"]


def test_validation_before_any_training(make_runner: Make, scores: Any) -> None:
    scheduler = {"type": "MultiStepLR", "milestones": [2], "gamma": 0.5}
    assert make_runner(scores(0.5), param_scheduler=scheduler).val() == {"acc": 0.5}


def test_no_schedulers() -> None:
    runner = SimpleNamespace(param_schedulers=None)
    hook = ParamSchedulerHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.after_train_epoch(runner)
    hook.after_val_epoch(runner, {})
