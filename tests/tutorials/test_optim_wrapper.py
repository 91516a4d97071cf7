"""Optimizer wrappers: updates, accumulation, mixed precision, clipping, several optimizers, groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD

from toolkit.optim import (
    AmpOptimWrapper,
    DefaultOptimWrapperConstructor,
    OptimWrapper,
    OptimWrapperDict,
    build_optim_wrapper,
)
from toolkit.registry import OPTIM_WRAPPER_CONSTRUCTORS
from toolkit.runner import Runner

Make = Callable[..., Runner]


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(1, 1)


def losses(model: nn.Module, count: int) -> list[torch.Tensor]:
    return [nn.functional.l1_loss(model(torch.full((1, 1), i + 1.0)), torch.ones(1, 1)) for i in range(count)]


def test_update_params_is_backward_step_and_zero_grad() -> None:
    ours, plain = linear(), linear()
    wrapper = OptimWrapper(optimizer=SGD(ours.parameters(), lr=0.01))
    optimizer = SGD(plain.parameters(), lr=0.01)
    for _ in range(3):
        wrapper.update_params(losses(ours, 1)[0])
        optimizer.zero_grad()
        losses(plain, 1)[0].backward()
        optimizer.step()
    assert ours.weight.equal(plain.weight)
    assert ours.weight.grad is None


def test_gradients_accumulate() -> None:
    ours, plain = linear(), linear()
    wrapper = OptimWrapper(SGD(ours.parameters(), lr=0.01), accumulative_counts=4)
    wrapper.initialize_count_status(ours, 0, 4)
    for index in range(4):
        before = ours.weight.detach().clone()
        with wrapper.optim_context(ours):
            loss = losses(ours, index + 1)[index]
        wrapper.update_params(loss)
        assert ours.weight.equal(before) is (index < 3)
    (sum(losses(plain, 4)) / 4).backward()  # type: ignore[union-attr]
    SGD(plain.parameters(), lr=0.01).step()
    torch.testing.assert_close(ours.weight, plain.weight)


def test_mixed_precision() -> None:
    model = linear()
    wrapper = AmpOptimWrapper(optimizer=SGD(model.parameters(), lr=0.01), dtype="bfloat16")
    with wrapper.optim_context(model):
        out = model(torch.ones(1, 1))
    assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32


def test_gradients_are_clipped() -> None:
    ours, plain = linear(), linear()
    wrapper = OptimWrapper(SGD(ours.parameters(), lr=1.0), clip_grad={"max_norm": 0.5})
    wrapper.update_params(100 * losses(ours, 1)[0])
    step = (plain.weight - ours.weight).item() ** 2 + (plain.bias - ours.bias).item() ** 2
    assert step**0.5 == pytest.approx(0.5, rel=1e-4)


def test_learning_rates_and_momenta() -> None:
    wrapper = OptimWrapper(SGD(linear().parameters(), lr=0.01, momentum=0.9))
    assert wrapper.get_lr() == {"lr": [0.01]}
    assert wrapper.get_momentum() == {"momentum": [0.9]}
    wrapper.param_groups[0]["lr"] = 0.02
    assert wrapper.get_lr() == {"lr": [0.02]}


def test_the_state_is_the_optimizers() -> None:
    model = linear()
    wrapper = OptimWrapper(SGD(model.parameters(), lr=0.01, momentum=0.9))
    wrapper.update_params(losses(model, 1)[0])
    other = OptimWrapper(SGD(model.parameters(), lr=0.5))
    other.load_state_dict(wrapper.state_dict())
    assert other.get_lr() == {"lr": [0.01]}
    assert other.state_dict()["state"][0]["momentum_buffer"].equal(
        wrapper.optimizer.state[model.weight]["momentum_buffer"]
    )


def test_several_optimizers() -> None:
    gen, disc = linear(0), linear(1)
    wrappers = OptimWrapperDict(
        gen=OptimWrapper(SGD(gen.parameters(), lr=0.01)), disc=OptimWrapper(SGD(disc.parameters(), lr=0.02))
    )
    assert {key: value for key, value in wrappers.get_lr().items() if key.endswith("lr")} == {
        "gen.lr": [0.01], "disc.lr": [0.02],
    }  # fmt: skip
    before = disc.weight.detach().clone()
    wrappers["gen"].update_params(losses(gen, 1)[0])
    assert disc.weight.equal(before)
    assert set(wrappers.state_dict()) == {"gen", "disc"}


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)


def test_groups_by_kind_and_by_name() -> None:
    cfg: dict[str, Any] = {
        "type": "OptimWrapper",
        "optimizer": {"type": "SGD", "lr": 0.1, "weight_decay": 0.01},
        "paramwise_cfg": {
            "norm_decay_mult": 0,
            "bias_lr_mult": 2,
            "custom_keys": {"head": {"lr_mult": 10}},
        },
    }
    net = Net()
    wrapper = build_optim_wrapper(net, cfg)
    by_param = {id(param): group for group in wrapper.param_groups for param in group["params"]}
    found = {
        name: (round(by_param[id(param)]["lr"], 6), by_param[id(param)]["weight_decay"])
        for name, param in net.named_parameters()
    }
    assert found == {
        "backbone.0.weight": (0.1, 0.01),
        "backbone.0.bias": (0.2, 0.01),
        "backbone.1.weight": (0.1, 0.0),
        "backbone.1.bias": (0.1, 0.0),
        "head.weight": (1.0, 0.01),
        "head.bias": (1.0, 0.01),
    }


def test_a_constructor_of_ones_own() -> None:
    @OPTIM_WRAPPER_CONSTRUCTORS.register_module(force=True)
    class HeadOnly(DefaultOptimWrapperConstructor):
        """Optimises the head."""

        def __call__(self, model: nn.Module) -> OptimWrapper:
            whole = super().__call__(model.head)
            assert isinstance(whole, OptimWrapper)
            return whole

    cfg = {"type": "OptimWrapper", "constructor": "HeadOnly", "optimizer": {"type": "SGD", "lr": 0.1}}
    net = Net()
    wrapper = build_optim_wrapper(net, cfg)
    params = [param for group in wrapper.param_groups for param in group["params"]]
    assert {id(param) for param in params} == {id(param) for param in net.head.parameters()}


def test_in_a_config(make: Make) -> None:
    wrapper = {
        "type": "AmpOptimWrapper",
        "dtype": "bfloat16",
        "optimizer": {"type": "Adam", "lr": 0.1},
        "accumulative_counts": 2,
        "clip_grad": {"max_norm": 1},
    }
    runner = make(optim_wrapper=wrapper)
    runner.train()
    assert isinstance(runner.optim_wrapper, AmpOptimWrapper)
    assert isinstance(runner.optim_wrapper.optimizer, torch.optim.Adam)
    state = runner.optim_wrapper.optimizer.state[runner.model.linear.weight]
    assert int(state["step"]) == 2  # 4 iterations, two a step
