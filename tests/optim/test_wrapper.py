"""The optimisation step: against plain torch, accumulated, clipped, refused."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.optim import BaseOptimWrapper, OptimWrapper
from toolkit.utils import ConfigError, TrainingError


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def batches(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, 3, generator=generator) for _ in range(count)]


def loss_of(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return (model(batch) - 1).square().mean()


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([param.detach().flatten() for param in model.parameters()])


def test_equals_a_bare_loop_bit_for_bit() -> None:
    first = make_model()
    second = copy.deepcopy(first)
    wrapper = OptimWrapper(torch.optim.AdamW(first.parameters(), lr=0.1))
    bare = torch.optim.AdamW(second.parameters(), lr=0.1)
    for batch in batches(5):
        with wrapper.optim_context(first):
            loss = loss_of(first, batch)
        wrapper.update_params(loss)
        bare.zero_grad()
        loss_of(second, batch).backward()
        bare.step()
    assert torch.equal(weights(first), weights(second))
    assert all(param.grad is None for param in first.parameters())


@pytest.mark.parametrize("part", ["backward", "step", "zero_grad"])
def test_a_part_of_the_step_may_be_overridden(part: str) -> None:
    """The usual step does without calls of its parts; one of them that is another's is called."""
    called: list[str] = []

    def noting(self: OptimWrapper, *args: Any, **kwargs: Any) -> None:
        called.append(part)
        getattr(OptimWrapper, part)(self, *args, **kwargs)

    model = make_model()
    wrapper = type("Mine", (OptimWrapper,), {part: noting})(torch.optim.SGD(model.parameters(), lr=0.1))
    before = weights(model)
    wrapper.update_params(loss_of(model, batches(1)[0]))
    assert called == [part]
    assert wrapper.inner_count == 1
    assert not torch.equal(weights(model), before)


def test_arguments_reach_the_optimizer() -> None:
    model = make_model()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    seen: list[int] = []
    wrapper.update_params(
        loss_of(model, batches(1)[0]),
        step_kwargs={"closure": lambda: seen.append(1)},
        zero_kwargs={"set_to_none": False},
    )
    assert seen == [1]
    assert all(param.grad is not None and not param.grad.any() for param in model.parameters())


@pytest.mark.parametrize("total", [6, 8])
def test_accumulation_equals_large_batches(total: int) -> None:
    """With 8 losses and accumulations of 3, the last step is that of 2 losses."""
    first = make_model()
    second = copy.deepcopy(first)
    wrapper = OptimWrapper(torch.optim.SGD(first.parameters(), lr=0.1), accumulative_counts=3)
    wrapper.initialize_count_status(first, 0, total)
    bare = torch.optim.SGD(second.parameters(), lr=0.1)
    data = batches(total)
    for batch in data:
        wrapper.update_params(loss_of(first, batch))
    for start in range(0, total, 3):
        bare.zero_grad()
        loss_of(second, torch.cat(data[start : start + 3])).backward()
        bare.step()
    assert wrapper.inner_count == total
    assert torch.allclose(weights(first), weights(second), atol=1e-6)


def test_gradients_are_exchanged_only_before_a_step() -> None:
    calls = []

    class Model(nn.Linear):
        def no_sync(self) -> torch.no_grad:
            calls.append("no_sync")
            return torch.enable_grad()

    model = Model(1, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2)
    wrapper.initialize_count_status(model, 0, 5)
    seen = []
    for _ in range(5):
        calls.clear()
        with wrapper.optim_context(model):
            loss = model(torch.ones(1, 1)).sum()
        seen.append(bool(calls))
        wrapper.update_params(loss)
    assert seen == [True, False, True, False, False]


def test_clipping_by_norm_is_torchs_and_is_logged() -> None:
    first = make_model()
    second = copy.deepcopy(first)
    cfg = {"max_norm": 0.05, "norm_type": 2}
    wrapper = OptimWrapper(torch.optim.SGD(first.parameters(), lr=0.1), clip_grad=cfg)
    batch = batches(1)[0]
    wrapper.update_params(loss_of(first, batch))
    loss_of(second, batch).backward()
    norm = torch.nn.utils.clip_grad_norm_(second.parameters(), 0.05)
    torch.optim.SGD(second.parameters(), lr=0.1).step()
    assert torch.equal(weights(first), weights(second))
    assert wrapper.log_vars["grad_norm"].item() == norm.item()
    assert not wrapper.log_vars["grad_norm"].requires_grad
    assert cfg == {"max_norm": 0.05, "norm_type": 2}


def test_clipping_by_value() -> None:
    model = nn.Linear(1, 1, bias=False)
    start = model.weight.item()
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1.0), clip_grad={"type": "value", "clip_value": 0.25}
    )
    wrapper.update_params(100 * model.weight.sum())
    assert model.weight.item() == pytest.approx(start - 0.25)
    assert wrapper.log_vars == {}


def test_grad_norm_is_logged_only_with_a_step() -> None:
    model = nn.Linear(1, 1)
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2, clip_grad={"max_norm": 1.0}
    )
    logged = []
    for _ in range(4):
        wrapper.update_params(model(torch.ones(1, 1)).sum())
        logged.append("grad_norm" in wrapper.log_vars)
    assert logged == [False, True, False, True]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_leaves_the_weights(value: float) -> None:
    model = make_model()
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters(), lr=0.1))
    wrapper.update_params(loss_of(model, batches(1)[0]))
    before, state = weights(model), copy.deepcopy(wrapper.state_dict())
    with pytest.raises(TrainingError, match=str(value)):
        wrapper.update_params(loss_of(model, batches(1)[0]) * value)
    assert torch.equal(weights(model), before)
    assert state["state"][0]["step"] == wrapper.state_dict()["state"][0]["step"]
    assert wrapper.inner_count == 1
    wrapper.update_params(loss_of(model, batches(1)[0]))
    assert torch.isfinite(weights(model)).all()


def test_the_check_can_be_left_out() -> None:
    model = nn.Linear(1, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), check_finite=False)
    wrapper.update_params(model(torch.ones(1, 1)).sum() * float("nan"))
    assert torch.isnan(model.weight).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_loss_on_a_gpu_is_refused_before_the_step() -> None:
    model = make_model().cuda()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = weights(model)
    with pytest.raises(TrainingError, match="nan"):
        wrapper.update_params(loss_of(model, batches(1)[0].cuda()) * float("nan"))
    assert torch.equal(weights(model), before)
    wrapper.zero_grad()
    wrapper.update_params(loss_of(model, batches(1)[0].cuda()))
    assert not torch.equal(weights(model), before)


def test_step_and_zero_arguments_are_passed_on() -> None:
    model = nn.Linear(1, 1)
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    closures = []
    wrapper.update_params(
        model(torch.ones(1, 1)).sum(),
        step_kwargs={"closure": lambda: closures.append(1)},
        zero_kwargs={"set_to_none": False},
    )
    assert closures == [1]
    assert model.weight.grad is not None
    assert model.weight.grad.item() == 0


def test_lr_and_momentum_of_each_group() -> None:
    params = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    sgd = torch.optim.SGD(
        [{"params": [params[0]], "momentum": 0.5}, {"params": [params[1]], "lr": 2.0}], lr=1.0
    )
    assert OptimWrapper(sgd).get_lr() == {"lr": [1.0, 2.0]}
    assert OptimWrapper(sgd).get_momentum() == {"momentum": [0.5, 0.0]}
    assert OptimWrapper(torch.optim.Adam(params)).get_momentum() == {"momentum": [0.9]}
    assert OptimWrapper(torch.optim.Adagrad(params)).get_momentum() == {"momentum": [0.0]}
    assert OptimWrapper(sgd).param_groups is sgd.param_groups


def test_state_of_the_optimizer_and_of_older_files() -> None:
    model = make_model()
    wrapper = OptimWrapper(torch.optim.Adam(model.parameters()))
    wrapper.update_params(loss_of(model, batches(1)[0]))
    state = wrapper.state_dict()
    state["base_param_settings"] = {"params": [torch.zeros(1)], "lr": 0.1}
    other = OptimWrapper(torch.optim.Adam(make_model().parameters()))
    other.load_state_dict(state)
    assert torch.equal(other.state_dict()["state"][0]["exp_avg"], state["state"][0]["exp_avg"])
    assert "base_param_settings" in state


def test_resuming_within_an_accumulation() -> None:
    whole, parts = make_model(), make_model()
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in (whole, parts)]
    first = OptimWrapper(optimizers[0], accumulative_counts=3)
    first.initialize_count_status(whole, 0, 7)
    data = batches(7)
    for batch in data:
        first.update_params(loss_of(whole, batch))
    for start, stop in ((0, 4), (4, 7)):
        second = OptimWrapper(optimizers[1], accumulative_counts=3)
        second.initialize_count_status(parts, start, 7)
        for batch in data[start:stop]:
            second.update_params(loss_of(parts, batch))
    assert torch.equal(weights(whole), weights(parts))


def test_accumulation_over_batch_normalisation_warns(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with caplog.at_level(logging.WARNING):
        OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1)).initialize_count_status(model, 0, 9)
        assert not caplog.text
        OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), 4).initialize_count_status(model, 0, 9)
    assert "batch normalisation" in caplog.text


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ({"accumulative_counts": 0}, "at least 1"),
        ({"clip_grad": 35}, "must be a dict"),
        ({"clip_grad": {"type": "norms", "max_norm": 1}}, "did you mean 'norm'"),
        ({"clip_grad": {"norm_type": 2}}, "needs 'max_norm'"),
        ({"clip_grad": {"type": "value", "max_norm": 2}}, "needs 'clip_value'"),
    ],
)
def test_wrong_arguments_are_named(args: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        OptimWrapper(torch.optim.SGD(make_model().parameters(), lr=0.1), **args)


def test_a_wrapper_of_ones_own_has_to_bring_its_steps() -> None:
    wrapper = BaseOptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))
    for name, arguments in {"update_params": [0], "backward": [0], "step": [], "zero_grad": []}.items():
        with pytest.raises(NotImplementedError, match=f"must implement {name}"):
            getattr(wrapper, name)(*arguments)
