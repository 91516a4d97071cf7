"""The schedules against torch's own, against closed forms, and resumed."""

from __future__ import annotations

import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from toolkit import optim
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.utils import ConfigError

STEPS = 40
BASES = (0.1, 0.02)


def make_optimizer(kind: type = torch.optim.SGD, **kwargs: float) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": base} for base in BASES]
    return kind(groups, lr=1.0, **kwargs)


def curve(
    optimizer: torch.optim.Optimizer, schedulers: list, steps: int = STEPS, key: str = "lr"
) -> list[list[float]]:
    values = []
    for _ in range(steps):
        values.append([group[key] for group in optimizer.param_groups])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return values


def close(first: list[list[float]], second: list[list[float]]) -> bool:
    return torch.allclose(
        torch.tensor(first, dtype=torch.float64), torch.tensor(second, dtype=torch.float64), 1e-9, 1e-12
    )


COUNTERPARTS = {
    "step": (
        optim.StepLR,
        {"step_size": 7, "gamma": 0.3},
        lr_scheduler.StepLR,
        {"step_size": 7, "gamma": 0.3},
    ),
    "multistep": (
        optim.MultiStepLR,
        {"milestones": [5, 11, 11, 30]},
        lr_scheduler.MultiStepLR,
        {"milestones": [5, 11, 11, 30]},
    ),
    "constant": (
        optim.ConstantLR,
        {"factor": 0.5, "end": 9},
        lr_scheduler.ConstantLR,
        {"factor": 0.5, "total_iters": 8},
    ),
    "linear": (
        optim.LinearLR,
        {"start_factor": 0.01, "end_factor": 0.7, "end": 13},
        lr_scheduler.LinearLR,
        {"start_factor": 0.01, "end_factor": 0.7, "total_iters": 12},
    ),
    "exponential": (optim.ExponentialLR, {"gamma": 0.93}, lr_scheduler.ExponentialLR, {"gamma": 0.93}),
    "poly": (
        optim.PolyLR,
        {"power": 0.9, "end": 31},
        lr_scheduler.PolynomialLR,
        {"power": 0.9, "total_iters": 30},
    ),
    "cosine": (
        optim.CosineAnnealingLR,
        {"T_max": 12, "eta_min": 1e-3},
        lr_scheduler.CosineAnnealingLR,
        {"T_max": 12, "eta_min": 1e-3},
    ),
    "restarts": (
        optim.CosineRestartLR,
        {"periods": [10] * 4, "restart_weights": [1] * 4, "eta_min": 1e-3},
        lr_scheduler.CosineAnnealingWarmRestarts,
        {"T_0": 10, "eta_min": 1e-3},
    ),
    "one cycle": (
        optim.OneCycleLR,
        {"eta_max": 0.4, "total_steps": STEPS, "three_phase": True, "anneal_strategy": "linear"},
        lr_scheduler.OneCycleLR,
        {
            "max_lr": 0.4,
            "total_steps": STEPS,
            "three_phase": True,
            "anneal_strategy": "linear",
            "cycle_momentum": False,
        },
    ),
    "one cycle, cosine": (
        optim.OneCycleLR,
        {"eta_max": [0.4, 0.1], "end": STEPS},
        lr_scheduler.OneCycleLR,
        {"max_lr": [0.4, 0.1], "total_steps": STEPS, "cycle_momentum": False},
    ),
}


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_equals_torch(name: str) -> None:
    ours, our_args, theirs, their_args = COUNTERPARTS[name]
    first, second = make_optimizer(), make_optimizer()
    schedulers = [ours(first, **our_args)], [theirs(second, **their_args)]
    steps = STEPS - 1 if "cycle" in name else STEPS
    assert close(curve(first, schedulers[0], steps), curve(second, schedulers[1], steps))


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_resumes_exactly(name: str) -> None:
    kind, args, *_ = COUNTERPARTS[name]
    whole = make_optimizer()
    expected = curve(whole, [kind(whole, **args)], STEPS - 1)
    first = make_optimizer()
    before = kind(first, **args)
    begun = curve(first, [before], 17)
    saved = io.BytesIO()
    torch.save({"optimizer": first.state_dict(), "scheduler": before.state_dict()}, saved)
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    second = make_optimizer()
    after = kind(second, **args)
    second.load_state_dict(state["optimizer"])
    after.load_state_dict(state["scheduler"])
    assert begun + curve(second, [after], STEPS - 18) == expected


@settings(deadline=None, max_examples=30)
@given(
    warmup=st.integers(1, 15),
    milestones=st.lists(st.integers(0, STEPS), max_size=4),
    gamma=st.floats(0.1, 0.9),
    start=st.floats(1e-3, 1.0),
)
def test_warmup_and_multistep_multiply(
    warmup: int, milestones: list[int], gamma: float, start: float
) -> None:
    optimizer = make_optimizer()
    schedulers = [
        optim.LinearLR(optimizer, start_factor=start, begin=0, end=warmup + 1, by_epoch=False),
        optim.MultiStepLR(optimizer, milestones=milestones, gamma=gamma),
    ]

    def closed(step: int) -> float:
        passed = sum(0 < milestone <= step for milestone in milestones)
        # Step 0 is taken by making the scheduler, so a milestone of 0 counts as well.
        passed += milestones.count(0)
        return (start + (1 - start) * min(step / warmup, 1)) * gamma**passed

    expected = [[base * closed(step) for base in BASES] for step in range(STEPS)]
    assert close(curve(optimizer, schedulers), expected)


@settings(deadline=None, max_examples=25)
@given(begin=st.integers(1, 10), length=st.integers(2, 20), power=st.sampled_from([0.5, 1.0, 2.0]))
def test_acts_in_its_range_only(begin: int, length: int, power: float) -> None:
    optimizer = make_optimizer()
    scheduler = optim.PolyLR(optimizer, power=power, eta_min=1e-3, begin=begin, end=begin + length)
    values = curve(optimizer, [scheduler])
    total = length - 1

    def closed(base: float, step: int) -> float:
        share = min(max(step - begin, 0), total) / total
        return (base - 1e-3) * (1 - share) ** power + 1e-3

    assert close(values, [[closed(base, step) for base in BASES] for step in range(STEPS)])


def test_a_later_schedule_goes_on_from_an_earlier_one() -> None:
    optimizer = make_optimizer()
    schedulers = [
        optim.LinearLR(optimizer, start_factor=0.1, end_factor=0.5, end=11),
        optim.CosineAnnealingLR(optimizer, T_max=20, begin=11, end=31, eta_min=0),
    ]
    values = curve(optimizer, schedulers)
    assert values[10] == pytest.approx([base * 0.5 for base in BASES])
    # The cosine is computed from the value that it finds, halved here.
    expected = [[base * 0.5 * (1 + math.cos(math.pi * t / 20)) / 2 for base in BASES] for t in range(20)]
    assert close(values[11:31], expected)
    assert values[31:] == [values[30]] * (STEPS - 31)


def test_cosine_restarts_with_weights() -> None:
    optimizer = make_optimizer()
    scheduler = optim.CosineRestartLR(optimizer, periods=[4, 6], restart_weights=[1, 0.5], eta_min_ratio=0.1)
    values = curve(optimizer, [scheduler], 14)

    def closed(base: float, step: int) -> float:
        start, period, weight = (0, 4, 1.0) if step < 4 else (4, 6, 0.5)
        return base * (0.1 + (weight - 0.1) * (1 + math.cos(math.pi * (step - start) / period)) / 2)

    assert close(values[:10], [[closed(base, step) for base in BASES] for step in range(10)])
    assert values[10:] == [values[9]] * 4


@pytest.mark.parametrize(
    ("name", "by_epoch", "by_iter"),
    [
        ("StepLR", {"step_size": 2}, {"step_size": 10}),
        ("MultiStepLR", {"milestones": [1, 3]}, {"milestones": [5, 15]}),
        ("LinearLR", {"begin": 1, "end": 3}, {"begin": 5, "end": 15}),
        ("ConstantLR", {"end": 2.5}, {"end": 12}),
        ("PolyLR", {"end": 6}, {"end": 30}),
        ("ExponentialLR", {"gamma": 0.9, "end": 4}, {"gamma": 0.9, "end": 20}),
        ("CosineAnnealingLR", {"T_max": 4}, {"T_max": 20}),
        ("CosineAnnealingLR", {"begin": 2, "end": 6}, {"begin": 10, "end": 30}),
        (
            "CosineRestartLR",
            {"periods": [2, 3], "restart_weights": [1, 1]},
            {"periods": [10, 15], "restart_weights": [1, 1]},
        ),
        ("OneCycleLR", {"eta_max": 1.0, "total_steps": 8}, {"eta_max": 1.0, "total_steps": 40}),
    ],
)
def test_convert_to_iter_based(name: str, by_epoch: dict, by_iter: dict) -> None:
    first, second = make_optimizer(), make_optimizer()
    converted = PARAM_SCHEDULERS.build(
        {"type": name, "convert_to_iter_based": True, "epoch_length": 5, "optimizer": first, **by_epoch}
    )
    plain = PARAM_SCHEDULERS.build({"type": name, "by_epoch": False, "optimizer": second, **by_iter})
    assert converted.by_epoch is False
    assert curve(first, [converted], 38) == curve(second, [plain], 38)


def test_convert_needs_epochs() -> None:
    with pytest.raises(ConfigError, match="by_epoch=True"):
        optim.StepLR.build_iter_from_epoch(make_optimizer(), step_size=1, by_epoch=False, epoch_length=5)
    with pytest.raises(ConfigError, match="epoch_length"):
        optim.StepLR.build_iter_from_epoch(make_optimizer(), step_size=1)


@pytest.mark.parametrize(
    ("kind", "args", "match"),
    [
        (optim.StepLR, {"step_size": 0}, "step_size"),
        (optim.StepLR, {"step_size": 1, "begin": 5, "end": 5}, "begin=5, end=5"),
        (optim.StepLR, {"step_size": 1, "last_step": -2}, "last_step"),
        (optim.StepLR, {"step_size": 1, "last_step": 3}, "initial_lr"),
        (optim.MultiStepLR, {"milestones": 8}, "list"),
        (optim.ConstantLR, {"factor": 1.5}, "between 0 and 1"),
        (optim.ConstantLR, {"factor": 0, "end": 5}, "taken back"),
        (optim.LinearLR, {"start_factor": 0}, "more than 0"),
        (optim.LinearLR, {"end_factor": 2}, "end_factor"),
        (optim.CosineAnnealingLR, {"eta_min": 0, "eta_min_ratio": 0.1}, "not both"),
        (optim.CosineRestartLR, {"periods": [1, 2]}, "as many"),
        (optim.OneCycleLR, {"eta_max": 1.0, "total_steps": 0}, "positive"),
        (optim.OneCycleLR, {"eta_max": [1.0], "total_steps": 9}, "1 values for 2"),
        (
            optim.OneCycleLR,
            {"eta_max": 1.0, "total_steps": 9, "anneal_strategy": "cosine"},
            "did you mean 'cos'",
        ),
        (optim.OneCycleParamScheduler, {"param_name": "momentum", "total_steps": 9}, "'lr' alone"),
        (optim.StepParamScheduler, {"param_name": "lrr", "step_size": 9}, "no 'lrr'"),
    ],
)
def test_wrong_arguments_are_named(kind: type, args: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        kind(make_optimizer(), **args)


def test_only_an_optimizer_is_scheduled() -> None:
    with pytest.raises(ConfigError, match="needs one Optimizer"):
        optim.StepLR(torch.nn.Linear(1, 1), step_size=1)


def test_one_cycle_ends() -> None:
    optimizer = make_optimizer()
    scheduler = optim.OneCycleLR(optimizer, eta_max=1.0, total_steps=5)
    # A step after the last one is what a loop takes at its end; the one after that is a fault.
    curve(optimizer, [scheduler], 5)
    lowest = 1.0 / 25 / 1e4
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([lowest, lowest])
    with pytest.raises(ConfigError, match="total_steps=5"):
        scheduler.step()
