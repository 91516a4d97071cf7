"""Mixed precision, as far as a CPU has it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from toolkit.optim import AmpOptimWrapper
from toolkit.utils import ConfigError


def make(**kwargs: object) -> tuple[nn.Module, AmpOptimWrapper]:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    return model, AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1), **kwargs)


def test_bfloat16_forward_and_float32_weights() -> None:
    model, wrapper = make()
    reference = copy.deepcopy(model)
    data = torch.randn(3, 4)
    with wrapper.optim_context(model):
        output = model(data)
    assert output.dtype is torch.bfloat16
    wrapper.update_params(output.float().square().mean())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = reference(data).float().square().mean()
    loss.backward()
    torch.optim.SGD(reference.parameters(), lr=0.1).step()
    assert torch.equal(model.weight, reference.weight)
    assert model.weight.dtype is torch.float32
    assert not wrapper.loss_scaler.is_enabled()


def test_float16_scales_the_loss_and_unscales_before_clipping() -> None:
    model, wrapper = make(dtype="float16", loss_scale=1024.0, clip_grad={"max_norm": 1e9})
    plain = copy.deepcopy(model)
    data = torch.randn(3, 4)
    wrapper.update_params(model(data).square().mean())
    plain(data).square().mean().backward()
    norm = torch.nn.utils.clip_grad_norm_(plain.parameters(), 1e9)
    torch.optim.SGD(plain.parameters(), lr=0.1).step()
    assert wrapper.log_vars["grad_norm"].item() == pytest.approx(norm.item(), rel=1e-5)
    assert torch.allclose(model.weight, plain.weight)
    assert wrapper.loss_scaler.get_scale() == 1024.0


def test_a_step_whose_gradients_overflow_is_left_out() -> None:
    model, wrapper = make(dtype="float16", loss_scale={"init_scale": 2.0**127, "growth_interval": 1})
    before = model.weight.clone()
    wrapper.update_params((model(torch.ones(1, 4)) * 1e6).sum())
    assert torch.equal(model.weight, before)
    assert wrapper.loss_scaler.get_scale() == 2.0**126


def test_the_scale_is_a_part_of_the_state() -> None:
    model, wrapper = make(dtype="float16", loss_scale={"init_scale": 8.0, "growth_interval": 2})
    for _ in range(3):
        wrapper.update_params(model(torch.ones(1, 4)).sum())
    state = wrapper.state_dict()
    _, other = make(dtype="float16")
    other.load_state_dict(state)
    assert other.loss_scaler.state_dict() == wrapper.loss_scaler.state_dict()
    assert other.loss_scaler.get_scale() == 16.0
    assert "loss_scaler" in state


def test_states_with_and_without_a_scaler_fit_each_other() -> None:
    _, scaled = make(dtype="float16")
    _, plain = make(dtype="bfloat16")
    scaled.load_state_dict(plain.state_dict())
    plain.load_state_dict(scaled.state_dict())
    assert scaled.loss_scaler.get_scale() == 2.0**16


def test_accumulation_under_autocast() -> None:
    model, wrapper = make(accumulative_counts=2)
    before = model.weight.clone()
    for changed in (False, True):
        with wrapper.optim_context(model):
            loss = model(torch.ones(1, 4)).float().sum()
        wrapper.update_params(loss)
        assert torch.equal(model.weight, before) is not changed


@pytest.mark.parametrize(
    ("args", "match"),
    [({"dtype": "bfloat"}, "did you mean 'bfloat16'"), ({"loss_scale": "static"}, "'dynamic'")],
)
def test_wrong_arguments_are_named(args: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        make(**args)


def test_every_named_dtype_is_taken() -> None:
    for name in AmpOptimWrapper.valid_dtypes:
        optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
        assert AmpOptimWrapper(optimizer=optimizer, dtype=name).cast_dtype is getattr(torch, name)
