"""Schedules of learning rates and momenta, by epoch and by iteration, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.hooks import Hook
from toolkit.optim import CosineAnnealingLR, ExponentialLR, MultiStepLR, OptimWrapper, _ParamScheduler
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.runner import Runner

Make = Callable[..., Runner]


def optimizer(lr: float = 1.0) -> torch.optim.SGD:
    return torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=lr, momentum=0.9)


class Rates(Hook):
    """Writes down what each iteration trains with."""

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.lr: list[float] = []
        self.momentum: list[float] = []

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.lr.append(runner.optim_wrapper.get_lr()["lr"][0])
        self.momentum.append(runner.optim_wrapper.get_momentum()["momentum"][0])


def trained(make: Make, schedules: Any, epochs: int = 4, momentum: float = 0.9) -> Rates:
    rates = Rates()
    wrapper = {"optimizer": {"type": "SGD", "lr": 1.0, "momentum": momentum}}
    runner = make(
        param_scheduler=schedules,
        custom_hooks=[rates],
        train_cfg={"by_epoch": True, "max_epochs": epochs},
        optim_wrapper=wrapper,
    )
    runner.train()
    return rates


def test_as_torchs_own() -> None:
    ours, theirs = optimizer(), optimizer()
    scheduler = ExponentialLR(OptimWrapper(ours), gamma=0.5)
    referee = torch.optim.lr_scheduler.ExponentialLR(theirs, gamma=0.5)
    for _ in range(5):
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        theirs.step()
        scheduler.step()
        referee.step()


def test_steps_by_epoch(make: Make) -> None:
    rates = trained(make, {"type": "MultiStepLR", "by_epoch": True, "milestones": [1, 3], "gamma": 0.1})
    assert rates.lr == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_warm_up_and_then_cosine(make: Make) -> None:
    schedules = [
        {"type": "LinearLR", "start_factor": 0.25, "by_epoch": False, "begin": 0, "end": 4},
        {"type": "CosineAnnealingLR", "T_max": 4, "by_epoch": False, "begin": 4, "end": 8},
    ]
    rates = trained(make, schedules)
    warm = [0.25, 0.5, 0.75, 1.0]
    cosine = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    assert rates.lr == pytest.approx([*warm, *cosine], abs=1e-6)


def test_epochs_converted_to_iterations(make: Make) -> None:
    schedule = {
        "type": "CosineAnnealingLR",
        "T_max": 4,
        "by_epoch": True,
        "begin": 0,
        "end": 4,
        "convert_to_iter_based": True,
    }
    rates = trained(make, schedule)
    expected = [0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert rates.lr == pytest.approx(expected)
    wrapper = OptimWrapper(optimizer())
    built = CosineAnnealingLR.build_iter_from_epoch(optimizer=wrapper, T_max=4, epoch_length=2)
    assert built.by_epoch is False
    assert built.T_max == 8


def test_momentum_has_schedules_too(make: Make) -> None:
    schedules = [
        {"type": "LinearLR", "start_factor": 0.5, "by_epoch": False, "begin": 0, "end": 3},
        {"type": "LinearMomentum", "start_factor": 0.5, "by_epoch": False, "begin": 0, "end": 3},
    ]
    rates = trained(make, schedules)
    assert rates.lr[:4] == pytest.approx([0.5, 0.75, 1, 1])
    assert rates.momentum[:4] == pytest.approx([0.45, 0.675, 0.9, 0.9])


def test_built_by_hand(make: Make) -> None:
    runner = make()
    wrapper = OptimWrapper(torch.optim.SGD(runner.model.parameters(), lr=1.0))
    again = make(
        model=runner.model,
        optim_wrapper=wrapper,
        param_scheduler=MultiStepLR(wrapper, by_epoch=True, milestones=[1], gamma=0.1),
    )
    again.train()
    assert wrapper.get_lr()["lr"] == pytest.approx([0.1])


def test_any_entry_of_the_groups_has_schedules(make: Make) -> None:
    class Decays(Hook):
        def __init__(self) -> None:
            self.values: list[float] = []

        def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
            self.values.append(runner.optim_wrapper.param_groups[0]["weight_decay"])

    decays = Decays()
    make(
        param_scheduler={
            "type": "LinearParamScheduler",
            "param_name": "weight_decay",
            "start_factor": 0.5,
            "by_epoch": False,
            "end": 2,
        },
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1, "weight_decay": 0.2}},
        custom_hooks=[decays],
    ).train()
    assert decays.values == pytest.approx([0.1, 0.2, 0.2, 0.2])


def test_a_schedule_of_ones_own(make: Make) -> None:
    @PARAM_SCHEDULERS.register_module(force=True)
    class HalvingLR(_ParamScheduler):
        """Halves the rate at each step after the first."""

        def __init__(self, optimizer: Any, **kwargs: Any) -> None:
            super().__init__(optimizer, "lr", **kwargs)

        def _get_value(self) -> list[float]:
            factor = 1.0 if self.last_step == 0 else 0.5
            return [group["lr"] * factor for group in self.optimizer.param_groups]

    rates = trained(make, {"type": "HalvingLR", "by_epoch": True})
    assert rates.lr == pytest.approx([1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125])
