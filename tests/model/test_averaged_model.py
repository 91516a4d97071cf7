"""Averages of weights against torch's and against their formulas."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from toolkit.model import ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage
from toolkit.registry import MODELS
from toolkit.utils import ConfigError


def make() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def change(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for param in model.parameters():
            param.add_(torch.randn(param.shape, generator=generator))
        model(torch.randn(8, 3, generator=generator))


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.allclose(a.double(), b.double(), atol=1e-6) for a, b in pairs)


@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize("kind", ["mean", "ema"])
def test_equals_torch(kind: str, buffers: bool) -> None:
    model = make()
    if kind == "mean":
        ours = StochasticWeightAverage(model, update_buffers=buffers)
        theirs = AveragedModel(model, use_buffers=buffers)
    else:
        ours = ExponentialMovingAverage(model, momentum=0.1, update_buffers=buffers)
        theirs = AveragedModel(model, avg_fn=get_ema_avg_fn(0.9), use_buffers=buffers)
    for seed in range(5):
        change(model, seed)
        ours.update_parameters(model)
        theirs.update_parameters(model)
    expected = theirs.module
    pairs = zip(ours.module.parameters(), expected.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)
    # torch averages or keeps buffers; here they are averaged or copied.
    reference = expected if buffers else model
    assert torch.allclose(ours.module[1].running_mean, reference[1].running_mean, atol=1e-6)
    assert ours.module[1].num_batches_tracked == model[1].num_batches_tracked
    assert int(ours.steps) == 5
    assert not any(param.requires_grad for param in ours.parameters())


def test_annealed_momentum() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = MomentumAnnealingEMA(model, momentum=0.3, gamma=4)
    expected = 0.0
    for step, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]):
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
        momentum = 1.0 if step == 0 else max(0.3, 4 / (4 + step))
        expected += momentum * (value - expected)
        assert average.module.weight.item() == pytest.approx(expected, rel=1e-6)


def test_interval() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = StochasticWeightAverage(model, interval=3)
    seen = []
    for value in range(1, 8):
        nn.init.constant_(model.weight, value)
        average.update_parameters(model)
        seen.append(average.module.weight.item())
    assert seen == [1, 1, 1, 2.5, 2.5, 2.5, 4]


def test_the_state_goes_on() -> None:
    model = make()
    whole = ExponentialMovingAverage(model, momentum=0.2)
    parts = copy.deepcopy(whole)
    for seed in range(6):
        change(model, seed)
        whole.update_parameters(model)
        parts.update_parameters(model)
        resumed = ExponentialMovingAverage(make(), momentum=0.2)
        resumed.load_state_dict(parts.state_dict())
        parts = resumed
    assert same(whole, parts)
    assert set(whole.state_dict()) == {"steps", *(f"module.{key}" for key in model.state_dict())}


def test_avg_func_may_be_overridden() -> None:
    class Latest(ExponentialMovingAverage):
        def avg_func(
            self, averaged_param: torch.Tensor, source_param: torch.Tensor, steps: torch.Tensor
        ) -> None:
            averaged_param.copy_(source_param * int(steps))

    model = nn.Linear(1, 1, bias=False)
    average = Latest(model, momentum=0.2)
    for _ in range(3):
        average.update_parameters(model)
    assert torch.equal(average.module.weight, model.weight * 2)


def test_forward_and_building_from_a_config() -> None:
    model = make().eval()
    average = MODELS.build({"type": "ExponentialMovingAverage", "model": model, "momentum": 0.01})
    data = torch.rand(2, 3)
    assert torch.equal(average(data), model(data))
    assert average.to(torch.float64).module[0].weight.dtype is torch.float64
    assert average.steps.device.type == "cpu"


def test_a_large_momentum_is_questioned(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ExponentialMovingAverage(make(), momentum=0.999)
    assert "did you mean 0.001" in caplog.text


@pytest.mark.parametrize(
    ("kind", "args", "match"),
    [
        (ExponentialMovingAverage, {"momentum": 1.0}, "between 0 and 1"),
        (ExponentialMovingAverage, {"interval": 0}, "at least 1"),
        (MomentumAnnealingEMA, {"gamma": 0}, "more than 0"),
    ],
)
def test_wrong_arguments_are_named(kind: type, args: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        kind(make(), **args)
