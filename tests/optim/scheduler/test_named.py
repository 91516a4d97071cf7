"""The schedules of the learning rate and of the momentum."""

from __future__ import annotations

import inspect

import pytest
import torch

from toolkit import optim
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.utils import ConfigError

KINDS = (
    "Constant",
    "CosineAnnealing",
    "CosineRestart",
    "Exponential",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Poly",
    "ReduceOnPlateau",
    "Step",
)
NAMES = [
    f"{kind}{suffix}"
    for kind in KINDS
    for suffix in ("LR", "Momentum", "ParamScheduler")
    if (kind, suffix) != ("OneCycle", "Momentum")
]


def make_optimizer(kind: type = torch.optim.SGD, **kwargs: object) -> torch.optim.Optimizer:
    return kind([torch.nn.Parameter(torch.zeros(1))], lr=0.1, **kwargs)


@pytest.mark.parametrize("name", NAMES)
def test_every_scheduler_is_exported_and_registered(name: str) -> None:
    assert PARAM_SCHEDULERS.get(name) is getattr(optim, name)
    assert PARAM_SCHEDULERS.get(f"mmengine.{name}") is getattr(optim, name)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("ParamScheduler")])
def test_signature_tells_the_arguments(name: str) -> None:
    suffix = "LR" if name.endswith("LR") else "Momentum"
    shown = inspect.signature(getattr(optim, name)).parameters
    schedule = inspect.signature(getattr(optim, name.removesuffix(suffix) + "ParamScheduler")).parameters
    assert [key for key in schedule if key != "param_name"] == list(shown)


def test_signature_of_a_subclass_is_its_own() -> None:
    class Mine(optim.StepLR):
        def __init__(self, optimizer: object, every: int = 1) -> None:
            super().__init__(optimizer, step_size=every)

    class Plain(optim.StepLR):
        pass

    assert list(inspect.signature(Mine).parameters) == ["optimizer", "every"]
    assert inspect.signature(Plain) == inspect.signature(optim.StepLR)


def test_momentum_of_sgd() -> None:
    optimizer = make_optimizer(momentum=0.8)
    scheduler = optim.StepMomentum(optimizer, step_size=2, gamma=0.5)
    seen = []
    for _ in range(5):
        seen.append(optimizer.param_groups[0]["momentum"])
        scheduler.step()
    assert seen == [0.8, 0.8, 0.4, 0.4, 0.2]
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_momentum_of_adam_is_its_first_beta() -> None:
    optimizer = make_optimizer(torch.optim.AdamW, betas=(0.8, 0.95))
    scheduler = optim.ExponentialMomentum(optimizer, gamma=0.5)
    scheduler.step()
    assert optimizer.param_groups[0]["betas"] == (0.4, 0.95)
    # A plateau sets values by another way.
    plateau = optim.ReduceOnPlateauMomentum(optimizer, monitor="m", factor=0.5, patience=0)
    plateau.step({"m": 1.0})
    plateau.step({"m": 1.0})
    assert optimizer.param_groups[0]["betas"] == (0.2, 0.95)


def test_momentum_needs_a_momentum() -> None:
    with pytest.raises(ConfigError, match="momentum or betas"):
        optim.StepMomentum(make_optimizer(torch.optim.Adagrad), step_size=1)


def test_wrapper_is_scheduled_like_its_optimizer() -> None:
    wrapper = optim.OptimWrapper(make_optimizer())
    scheduler = optim.MultiStepLR(wrapper, milestones=[1])
    assert scheduler.get_last_value() == [0.1]
    scheduler.step()
    assert wrapper.get_lr() == {"lr": [pytest.approx(0.01)]}
    assert scheduler.get_last_value() == [pytest.approx(0.01)]
