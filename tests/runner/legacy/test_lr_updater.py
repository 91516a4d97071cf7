"""Rates against formulae written down independently, for each policy with each warm-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.runner.legacy import HOOKS
from toolkit.utils import ConfigError

EPOCHS, LENGTH = 6, 5
ITERS = EPOCHS * LENGTH
BASES = (0.4, 0.05)


def half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def flat(start: float, end: float, done: int, total: int, share: float) -> float:
    begin = round(total * share)
    return start if done < begin else half_cosine(start, end, (done - begin) / (total - begin))


def restart(base: float, done: int) -> float:
    # periods 2, 1, 27 with weights 1, 0.5, 0.25 down to 0.01
    for begin, length, weight in ((0, 2, 1.0), (2, 1, 0.5), (3, 27, 0.25)):
        if done < begin + length:
            return 0.01 + weight * (base - 0.01) * (1 + math.cos(math.pi * (done - begin) / length)) / 2
    raise AssertionError


def cyclic(base: float, done: int, gamma: float = 1.0) -> float:
    # two cycles of 15, up for 6 of them to 10 times, down to 1e-4 times
    cycle, within = done // 15, done % 15
    top = base + (10 * base - base) * gamma**cycle
    if within < 6:
        return half_cosine(base, top, within / 6)
    return half_cosine(top, base * 1e-4, (within - 6) / 9)


def one_cycle(done: int) -> float:
    base, top, bottom = 2.0 / 25, 2.0, 2.0 / 25 / 1e4
    first = 0.3 * ITERS - 1
    if done <= first:
        return half_cosine(base, top, done / first)
    return half_cosine(top, bottom, (done - first) / (ITERS - 1 - first))


def three_phases(done: int) -> float:
    base, top, bottom = 2.0 / 25, 2.0, 2.0 / 25 / 1e4
    first, second = 0.3 * ITERS - 1, 0.6 * ITERS - 2
    if done <= first:
        return base + (top - base) * done / first
    if done <= second:
        return top + (base - top) * (done - first) / (second - first)
    return base + (bottom - base) * (done - second) / (ITERS - 1 - second)


# policy: arguments, and the rate from (base, done, total)
POLICIES: dict[str, tuple[str, dict[str, Any], Callable[[float, int, int], float]]] = {
    "fixed": ("Fixed", {}, lambda base, done, total: base),
    "step": ("Step", {"step": 2}, lambda base, done, total: base * 0.1 ** (done // 2)),
    "steps": (
        "Step",
        {"step": [1, 4], "gamma": 0.5, "min_lr": 0.03},
        lambda base, done, total: max(base * 0.5 ** ((done >= 1) + (done >= 4)), 0.03),
    ),
    "exp": ("Exp", {"gamma": 0.9}, lambda base, done, total: base * 0.9**done),
    "poly": (
        "Poly",
        {"power": 0.9, "min_lr": 0.01},
        lambda base, done, total: 0.01 + (base - 0.01) * (1 - done / total) ** 0.9,
    ),
    "inv": (
        "Inv",
        {"gamma": 0.2, "power": 0.75},
        lambda base, done, total: base / (1 + 0.2 * done) ** 0.75,
    ),
    "cosine": (
        "CosineAnnealing",
        {"min_lr": 0.001},
        lambda base, done, total: half_cosine(base, 0.001, done / total),
    ),
    "cosine_ratio": (
        "CosineAnnealing",
        {"min_lr_ratio": 0.1},
        lambda base, done, total: half_cosine(base, 0.1 * base, done / total),
    ),
    "linear": (
        "LinearAnnealing",
        {"min_lr": 0.001},
        lambda base, done, total: base + (0.001 - base) * done / total,
    ),
    "flat_cosine": (
        "FlatCosineAnnealing",
        {"start_percent": 0.5, "min_lr_ratio": 0.01},
        lambda base, done, total: flat(base, 0.01 * base, done, total, 0.5),
    ),
    "restart": (
        "CosineRestart",
        {"periods": [2, 1, 27], "restart_weights": [1, 0.5, 0.25], "min_lr": 0.01},
        lambda base, done, total: restart(base, done),
    ),
}
CYCLES: dict[str, tuple[str, dict[str, Any], Callable[[float, int, int], float]]] = {
    "cyclic": ("Cyclic", {"cyclic_times": 2}, lambda base, done, total: cyclic(base, done)),
    "cyclic_gamma": (
        "Cyclic",
        {"cyclic_times": 2, "gamma": 0.5},
        lambda base, done, total: cyclic(base, done, 0.5),
    ),
    "one_cycle": ("OneCycle", {"max_lr": 2.0}, lambda base, done, total: one_cycle(done)),
    "three_phases": (
        "OneCycle",
        {"max_lr": [2.0, 2.0], "three_phase": True, "anneal_strategy": "linear"},
        lambda base, done, total: three_phases(done),
    ),
}
WARMUPS: dict[str | None, Callable[[float], float]] = {
    None: lambda share: 1.0,
    "constant": lambda share: 0.2,
    "linear": lambda share: 0.2 + 0.8 * share,
    "exp": lambda share: 0.2 ** (1 - share),
}


def driven(kind: str, suffix: str, arguments: dict[str, Any], optimizer: Any, read: Any) -> list[list[float]]:
    """What a hook sets in each iteration of 6 epochs of 5."""
    hook = HOOKS.build({"type": f"{kind}{suffix}", **arguments})
    runner = SimpleNamespace(
        epoch=0,
        iter=0,
        max_epochs=EPOCHS,
        max_iters=ITERS,
        optimizer=optimizer,
        data_loader=[None] * LENGTH,
    )
    hook.before_run(runner)
    values = []
    for runner.epoch in range(EPOCHS):
        hook.before_train_epoch(runner)
        for _ in range(LENGTH):
            hook.before_train_iter(runner)
            values.append([read(group) for group in optimizer.param_groups])
            runner.iter += 1
    return values


def two_groups(kind: Any = torch.optim.SGD, **arguments: Any) -> Any:
    params = [torch.nn.Parameter(torch.zeros(1)) for _ in BASES]
    return kind([{"params": [p], "lr": lr} for p, lr in zip(params, BASES, strict=True)], **arguments)


@pytest.mark.parametrize("warmup_by_epoch", [False, True])
@pytest.mark.parametrize("warmup", list(WARMUPS))
@pytest.mark.parametrize(
    ("name", "by_epoch"),
    [*((name, True) for name in POLICIES), *((name, False) for name in (*POLICIES, *CYCLES))],
)
def test_rates_are_those_of_the_formulae(
    name: str, by_epoch: bool, warmup: str | None, warmup_by_epoch: bool
) -> None:
    kind, arguments, formula = {**POLICIES, **CYCLES}[name]
    span = 2 * LENGTH if warmup_by_epoch else 7
    arguments = {**arguments, "by_epoch": by_epoch}
    if warmup is not None:
        arguments |= {
            "warmup": warmup,
            "warmup_iters": 2 if warmup_by_epoch else 7,
            "warmup_ratio": 0.2,
            "warmup_by_epoch": warmup_by_epoch,
        }
    found = driven(kind, "LrUpdaterHook", arguments, two_groups(), lambda group: group["lr"])
    for now, rates in enumerate(found):
        done, total = (now // LENGTH, EPOCHS) if by_epoch else (now, ITERS)
        share = WARMUPS[warmup](now / span) if now < span else 1.0
        expected = [formula(base, done, total) * share for base in BASES]
        assert rates == pytest.approx(expected, rel=1e-13, abs=0), now


def test_first_and_last_rates_by_hand() -> None:
    read = lambda group: group["lr"]  # noqa: E731
    cosine = driven("CosineAnnealing", "LrUpdaterHook", {"min_lr": 0.0, "by_epoch": True}, two_groups(), read)
    assert cosine[0] == [0.4, 0.05]
    assert cosine[3 * LENGTH][0] == pytest.approx(0.2)  # half way
    step = driven("Step", "LrUpdaterHook", {"step": [4, 5]}, two_groups(), read)
    assert [step[i][0] for i in (0, 4 * LENGTH - 1, 4 * LENGTH, 5 * LENGTH)] == pytest.approx(
        [0.4, 0.4, 0.04, 0.004]
    )


def momentum_of(group: dict[str, Any]) -> float:
    return group["momentum"] if "momentum" in group else group["betas"][0]


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_momenta(kind: Any) -> None:
    own = {"momentum": 0.95} if kind is torch.optim.SGD else {"betas": (0.95, 0.99)}

    def momenta(policy: str, **arguments: Any) -> list[float]:
        optimizer = two_groups(kind, **own)
        found = driven(policy, "MomentumUpdaterHook", arguments, optimizer, momentum_of)
        assert all(first == second for first, second in found)
        return [first for first, _ in found]

    steps = momenta("Step", step=[2, 4])
    assert steps == pytest.approx([0.95 * 0.5 ** ((i // 5 >= 2) + (i // 5 >= 4)) for i in range(ITERS)])
    cosine = momenta("CosineAnnealing", min_momentum=0.8, by_epoch=False)
    assert cosine == pytest.approx([half_cosine(0.95, 0.8, i / ITERS) for i in range(ITERS)])
    cycle = momenta("Cyclic")
    assert cycle[0] == 0.95
    assert cycle[12] == pytest.approx(0.85)  # the turn, at 0.4 of the way
    assert cycle[3] == pytest.approx(half_cosine(0.95, 0.85, 3 / 12))
    assert cycle[21] == pytest.approx(half_cosine(0.85, 0.95, 9 / 18))
    one = momenta("OneCycle", base_momentum=0.8, max_momentum=0.9)
    assert one[8] == pytest.approx(0.8)  # iteration 0.3 * 30 - 1
    assert one[4] == pytest.approx(half_cosine(0.9, 0.8, 4 / 8))
    assert one[-1] == pytest.approx(0.9)
    warm = momenta("CosineAnnealing", min_momentum=0.95, warmup="linear", warmup_iters=10, warmup_ratio=0.5)
    assert warm[:11] == pytest.approx([0.95 / (0.5 + 0.5 * i / 10) for i in range(11)])


def test_wrong_arguments_are_refused() -> None:
    build = HOOKS.build
    with pytest.raises(ConfigError, match=r"did you mean 'linear'"):
        build({"type": "FixedLrUpdaterHook", "warmup": "liner", "warmup_iters": 5})
    with pytest.raises(ConfigError, match=r"exactly one of min_lr and min_lr_ratio"):
        build({"type": "CosineAnnealingLrUpdaterHook"})
    with pytest.raises(ConfigError, match=r"counts iterations"):
        build({"type": "CyclicLrUpdaterHook", "by_epoch": True})
    with pytest.raises(ConfigError, match=r"behind the end of all periods"):
        driven(
            "CosineRestart", "LrUpdaterHook", {"periods": [2], "min_lr": 0.0}, two_groups(), lambda group: 0
        )
