"""What all schedulers share."""

from __future__ import annotations

import logging

import pytest
import torch

from toolkit import optim
from toolkit.optim import _ParamScheduler


def make_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def test_a_new_schedule_is_one_method() -> None:
    class Halving(_ParamScheduler):
        def _next(self, value: float, base: float) -> float:
            return value / 2 if self.last_step else value

    optimizer = make_optimizer()
    scheduler = Halving(optimizer, "lr", begin=1, end=4)
    seen = []
    for _ in range(6):
        seen.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    assert seen == [1.0, 1.0, 0.5, 0.25, 0.25, 0.25]


def test_a_subclass_without_a_schedule_says_so() -> None:
    with pytest.raises(NotImplementedError, match="_next"):
        _ParamScheduler(make_optimizer(), "lr")


def test_state_of_another_setup_wins_and_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    first = optim.MultiStepLR(make_optimizer(), milestones=[2, 5])
    second = optim.MultiStepLR(make_optimizer(), milestones=[3])
    with caplog.at_level(logging.WARNING):
        second.load_state_dict(first.state_dict())
    assert second.milestones == {2: 1, 5: 1}
    assert "milestones={2: 1, 5: 1}" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        second.load_state_dict(first.state_dict())
    assert not caplog.text


def test_last_step_goes_on_without_a_state() -> None:
    optimizer = make_optimizer()
    scheduler = optim.StepLR(optimizer, step_size=3)
    for _ in range(3):
        scheduler.step()
    again = optim.StepLR(optimizer, step_size=3, last_step=scheduler.last_step)
    assert again.last_step == 4
    assert again.base_values == [1.0]


def test_verbose_logs_each_value(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="toolkit"):
        scheduler = optim.StepLR(make_optimizer(), step_size=1, verbose=True)
        scheduler.step()
    assert "lr of group 0 at epoch 1: 1.0000e-01" in caplog.text
    with caplog.at_level(logging.INFO, logger="toolkit"):
        scheduler.print_value(False, 7, 0.5)
        assert "group 7" not in caplog.text
        scheduler.print_value(True, 7, 0.5)
        assert "lr of group 7 at epoch 1: 5.0000e-01" in caplog.text
