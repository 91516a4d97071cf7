from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from toolkit.hooks import Hook
from toolkit.hooks.runtime_info_hook import is_scalar

Make = Callable[..., Any]


class Watch(Hook):
    def __init__(self) -> None:
        self.stages: list[Any] = []
        self.places: list[tuple[Any, Any]] = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        hub = runner.message_hub
        self.places.append((hub.get_info("epoch"), hub.get_info("iter")))

    def _before_epoch(self, runner, mode="train"):
        self.stages.append(runner.message_hub.get_info("loop_stage"))

    def _after_epoch(self, runner, mode="train"):
        self.stages.append(runner.message_hub.get_info("loop_stage"))


def test_facts(make_runner: Make, scores: Any) -> None:
    watch = Watch()
    runner = make_runner(scores(0.5, 0.6, 0.7), custom_hooks=[watch])
    runner.train()
    hub = runner.message_hub
    assert watch.places == [(step // 4, step) for step in range(12)]
    assert watch.stages == ["train", "train", "val", "val"] * 3
    assert hub.get_info("loop_stage") is None
    assert hub.get_info("max_epochs") == 3
    assert hub.get_info("max_iters") == 12
    assert hub.get_info("seed") == 0
    assert hub.get_info("dataset_meta")["classes"] == ("line",)
    assert isinstance(hub.get_info("cfg"), str)


class WatchValidation(Hook):
    def __init__(self) -> None:
        self.places: list[tuple[int, Any]] = []

    def before_val(self, runner):
        self.places.append((runner.iter, runner.message_hub.get_info("iter")))


@pytest.mark.parametrize(
    "train_cfg",
    [
        {"by_epoch": True, "max_epochs": 3},
        {"by_epoch": False, "max_iters": 12, "val_interval": 4},
    ],
)
def test_while_validating_the_iteration_is_the_last_one_trained(
    make_runner: Make, scores: Any, train_cfg: dict[str, Any]
) -> None:
    watch = WatchValidation()
    make_runner(scores(0.5, 0.6, 0.7), train_cfg=train_cfg, custom_hooks=[watch]).train()
    assert watch.places == [(4, 3), (8, 7), (12, 11)]


def test_numbers(make_runner: Make, scores: Any) -> None:
    runner = make_runner(
        scores(0.5, 0.6, 0.7),
        param_scheduler={"type": "MultiStepLR", "milestones": [1], "gamma": 0.5, "by_epoch": True},
        default_hooks={"logger": {"type": "LoggerHook", "interval": 4}},
    )
    runner.train()
    hub = runner.message_hub
    assert len(hub.get_scalar("train/loss")) == 12
    assert hub.get_scalar("val/acc").data[0].tolist() == [0.5, 0.6, 0.7]
    # Of the log points, before the schedulers step.
    assert hub.get_scalar("train/lr").data[0].tolist()[:3] == [0.1, 0.05, 0.05]


def test_metrics_that_are_no_numbers_become_facts(make_runner: Make, scores: Any) -> None:
    runner = make_runner(scores([1, 2], torch.tensor([3.0]), np.float32(4)))
    runner.train()
    assert runner.message_hub.get_info("val/acc") == [1, 2]
    assert runner.message_hub.get_scalar("val/acc").data[0].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("value", "scalar"),
    [
        (1, True),
        (1.5, True),
        (np.float32(1), True),
        (torch.ones(1), True),
        (np.ones((1, 1)), True),
        ("1", False),
        ([1], False),
        (torch.ones(2), False),
        (np.ones(2), False),
        (None, False),
    ],
)
def test_scalars(value: Any, scalar: bool) -> None:
    assert is_scalar(value) is scalar
