from __future__ import annotations

import pytest
import torch

from toolkit.detection.schedulers import QuadraticWarmupLR, QuadraticWarmupMomentum
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.utils import ConfigError


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.8, momentum=0.4)


def test_the_rate_grows_with_the_square_of_time() -> None:
    sgd = optimizer()
    schedule = QuadraticWarmupLR(sgd, begin=0, end=4)
    seen = []
    for _ in range(6):
        seen.append(sgd.param_groups[0]["lr"])
        schedule.step()
    assert seen == pytest.approx([0.8 * (t / 4) ** 2 for t in (1, 2, 3, 4)] + [0.8, 0.8])


def test_epochs_are_turned_into_iterations() -> None:
    sgd = optimizer()
    scheduler = PARAM_SCHEDULERS.get("mmdet.QuadraticWarmupLR")
    scheduler.build_iter_from_epoch(sgd, begin=0, end=2, epoch_length=5)
    assert sgd.param_groups[0]["lr"] == pytest.approx(0.8 / 100)


def test_momentum_and_a_missing_end() -> None:
    sgd = optimizer()
    QuadraticWarmupMomentum(sgd, end=2)
    assert sgd.param_groups[0]["momentum"] == pytest.approx(0.1)
    with pytest.raises(ConfigError, match="needs an end"):
        QuadraticWarmupLR(optimizer())
