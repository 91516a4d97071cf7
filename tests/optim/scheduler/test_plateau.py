"""The schedule that follows a metric, against torch's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.optim import ReduceOnPlateauLR
from toolkit.utils import ConfigError


def make_optimizer() -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.02)]
    return torch.optim.SGD(groups, lr=1.0)


def lrs(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


@settings(deadline=None, max_examples=40)
@given(
    metrics=st.lists(st.floats(-10, 10), min_size=1, max_size=30),
    rule=st.sampled_from(["less", "greater"]),
    threshold_rule=st.sampled_from(["rel", "abs"]),
    patience=st.integers(0, 3),
    cooldown=st.integers(0, 3),
)
def test_equals_torch(metrics: list, rule: str, threshold_rule: str, patience: int, cooldown: int) -> None:
    first, second = make_optimizer(), make_optimizer()
    shared = {"factor": 0.5, "patience": patience, "cooldown": cooldown, "threshold": 0.01}
    ours = ReduceOnPlateauLR(
        first, monitor="m", rule=rule, threshold_rule=threshold_rule, min_value=[1e-3, 1e-2], **shared
    )
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        second,
        mode={"less": "min", "greater": "max"}[rule],
        threshold_mode=threshold_rule,
        min_lr=[1e-3, 1e-2],
        **shared,
    )
    for metric in metrics:
        ours.step()
        ours.step({"m": torch.tensor(metric, dtype=torch.float64)})
        theirs.step(metric)
        assert lrs(first) == lrs(second)


def test_resumes_exactly() -> None:
    metrics = [1.0, 0.9, 0.95, 0.96, 0.97, 0.5, 0.6, 0.7, 0.8, 0.9]
    whole, parts = make_optimizer(), make_optimizer()
    expected, found = [], []
    scheduler = ReduceOnPlateauLR(whole, monitor="m", patience=1)
    for metric in metrics:
        scheduler.step({"m": metric})
        expected.append(lrs(whole))
    scheduler = ReduceOnPlateauLR(parts, monitor="m", patience=1)
    for metric in metrics:
        scheduler.step({"m": metric})
        found.append(lrs(parts))
        resumed = ReduceOnPlateauLR(parts, monitor="m", patience=1)
        resumed.load_state_dict(scheduler.state_dict())
        scheduler = resumed
    assert found == expected


def test_only_in_its_range() -> None:
    optimizer = make_optimizer()
    scheduler = ReduceOnPlateauLR(optimizer, monitor="m", patience=0, begin=2)
    for _ in range(2):
        scheduler.step({"m": 1.0})
        scheduler.step()
    assert scheduler.last_step == -1
    scheduler.step({"m": 1.0})
    scheduler.step({"m": 1.0})
    assert lrs(optimizer) == pytest.approx([0.01, 0.002])


def test_a_missing_metric_is_named() -> None:
    scheduler = ReduceOnPlateauLR(make_optimizer(), monitor="coco/bbox_map")
    with pytest.raises(ConfigError, match="did you mean 'coco/bbox_mAP'"):
        scheduler.step({"coco/bbox_mAP": 0.3})


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ({"factor": 1.0}, "less than 1"),
        ({"threshold": -1}, "negative"),
        ({"rule": "lesser"}, "did you mean 'less'"),
        ({"threshold_rule": "relative"}, "threshold_rule"),
        ({"by_epoch": False}, "by_epoch=False"),
        ({"min_value": [0.1]}, "1 values for 2"),
    ],
)
def test_wrong_arguments_are_named(args: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        ReduceOnPlateauLR(make_optimizer(), **args)
