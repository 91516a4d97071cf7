"""Hooks: those there are by default, further ones, and one's own with a priority."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from toolkit.evaluator import BaseMetric
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.hooks import EMAHook, Hook
from toolkit.hooks.hook import HookPointError
from toolkit.registry import HOOKS, METRICS
from toolkit.runner import Runner

Make = Callable[..., Runner]


@HOOKS.register_module(force=True)
class LossIsFinite(Hook):
    """The hook of the tutorial: looks at the loss at an interval."""

    def __init__(self, interval: int = 2) -> None:
        self.interval = interval
        self.seen: list[int] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        if self.every_n_train_iters(runner, self.interval):
            assert torch.isfinite(outputs["loss"]), "loss is infinite or NaN"
            self.seen.append(runner.iter)


def test_a_hook_of_ones_own(make: Make) -> None:
    runner = make(custom_hooks=[{"type": "LossIsFinite", "interval": 2, "priority": "ABOVE_NORMAL"}])
    runner.train()
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, LossIsFinite)]
    assert hook.seen == [1, 3]
    assert hook.priority == "ABOVE_NORMAL"


def test_priorities_make_the_order(make: Make) -> None:
    called: list[str] = []

    class Named(Hook):
        def __init__(self, name: str) -> None:
            self.name = name

        def before_train(self, runner: Runner) -> None:
            called.append(self.name)

    runner = make()
    runner.register_hook(Named("low"), priority="LOW")
    runner.register_hook(Named("normal, first"))
    runner.register_hook(Named("normal, second"))
    runner.register_hook(Named("10"), priority=10)
    runner.train()
    assert called == ["10", "normal, first", "normal, second", "low"]


def test_the_defaults_of_a_run(make: Make) -> None:
    names = [type(hook).__name__ for hook in make().hooks]
    order = ["RuntimeInfoHook", "IterTimerHook", "DistSamplerSeedHook", "LoggerHook", "ParamSchedulerHook"]
    assert [name for name in names if name in order] == order
    assert "CheckpointHook" in names
    without = make(default_hooks={"logger": None})
    assert "LoggerHook" not in [type(hook).__name__ for hook in without.hooks]


def test_checkpoints(make: Make, evaluated: dict[str, Any], tmp_path: Path) -> None:
    checkpoint = {
        "type": "CheckpointHook",
        "interval": 1,
        "max_keep_ckpts": 2,
        "save_best": "toy/accuracy",
        "rule": "greater",
        "save_optimizer": False,
        "published_keys": ["meta", "state_dict"],
    }
    runner = make(
        default_hooks={"checkpoint": checkpoint},
        train_cfg={"by_epoch": True, "max_epochs": 4},
        **evaluated,
    )
    runner.train()
    names = {path.name for path in (tmp_path / "run").glob("*.pth")}
    assert {"epoch_3.pth", "epoch_4.pth"} <= names
    assert not {"epoch_1.pth", "epoch_2.pth"} & names
    assert any(name.startswith("best_toy_accuracy_epoch_") for name in names)
    kept = read_checkpoint(str(tmp_path / "run" / "epoch_4.pth"))
    assert kept["meta"]["epoch"] == 4
    assert "optimizer" not in kept


def test_averaged_weights_are_validated(make: Make, evaluated: dict[str, Any]) -> None:
    weights: list[torch.Tensor] = []

    class Spy(Hook):
        def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
            weights.append(runner.model.linear.weight.detach().clone())

    runner = make(custom_hooks=[{"type": "EMAHook", "momentum": 0.5}, Spy()], **evaluated)
    runner.train()
    (ema,) = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    assert weights[-1].equal(ema.ema_model.module.linear.weight)
    assert not runner.model.linear.weight.equal(weights[-1])


def test_stopping_early(make: Make, evaluated: dict[str, Any]) -> None:
    stop = {"type": "EarlyStoppingHook", "monitor": "toy/accuracy", "patience": 2, "min_delta": 2.0}
    runner = make(custom_hooks=[stop], train_cfg={"by_epoch": True, "max_epochs": 50}, **evaluated)
    runner.train()
    assert runner.epoch == 3


def test_a_misspelt_point_is_refused() -> None:
    with pytest.raises(HookPointError, match="did you mean 'before_train_iter'"):

        class Wrong(Hook):
            def before_train_iters(self, runner: Runner) -> None: ...


def test_the_best_by_several_metrics(make: Make, evaluated: dict[str, Any], tmp_path: Path) -> None:
    @METRICS.register_module(force=True)
    class TwoNumbers(BaseMetric):
        def process(self, data_batch: Any, data_samples: Any) -> None:
            self.results.append(0)

        def compute_metrics(self, results: list[Any]) -> dict[str, float]:
            return {"score": 1.0, "cost": 2.0}

    checkpoint = {
        "type": "CheckpointHook",
        "save_best": ["score", "cost"],
        "rule": ["greater", "less"],
        "by_epoch": True,
    }
    evaluation = {**evaluated, "val_evaluator": {"type": "TwoNumbers"}}
    make(default_hooks={"checkpoint": checkpoint}, **evaluation).train()
    best = {path.name for path in (tmp_path / "run").glob("best_*.pth")}
    assert best == {"best_score_epoch_1.pth", "best_cost_epoch_1.pth"}


def test_further_hooks_of_ours(make: Make) -> None:
    hooks = [
        {"type": "EmptyCacheHook", "after_epoch": True},
        {"type": "SyncBuffersHook"},
        {"type": "EMAHook", "ema_type": "StochasticWeightAverage", "begin_epoch": 1},
        {"type": "ProfilerHook", "profile_times": 1, "on_trace_ready": {"type": "log_trace"}},
    ]
    runner = make(custom_hooks=hooks)
    runner.train()
    assert {cfg["type"] for cfg in hooks} <= {type(hook).__name__ for hook in runner.hooks}
