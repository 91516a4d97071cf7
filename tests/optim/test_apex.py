"""Apex's settings, by PyTorch's own mixed precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from toolkit.optim import AmpOptimWrapper, ApexOptimWrapper, build_optim_wrapper
from toolkit.utils import ConfigError


def made(**kwargs: Any) -> ApexOptimWrapper:
    with pytest.warns(UserWarning, match="Apex is not used"):
        return ApexOptimWrapper(optimizer=torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1), **kwargs)


def dtype_within(wrapper: ApexOptimWrapper) -> torch.dtype:
    model = nn.Linear(2, 2)
    with wrapper.optim_context(model):
        found: torch.dtype = model(torch.ones(1, 2)).dtype
    return found


def test_levels() -> None:
    assert isinstance(made(), AmpOptimWrapper)
    assert dtype_within(made(opt_level="O1")) is torch.bfloat16  # autocast's own on a CPU
    assert dtype_within(made(opt_level="O2", keep_batchnorm_fp32="True")) is torch.bfloat16
    for settings in ({"opt_level": "O0"}, {"enabled": False}):
        assert dtype_within(made(**settings)) is torch.float32
    with pytest.raises(ConfigError, match="take 'O1'"):
        ApexOptimWrapper(opt_level="O3")
    with pytest.raises(ConfigError, match="did you mean 'O1'"):
        ApexOptimWrapper(opt_level="o1")


def test_scales() -> None:
    assert made(loss_scale="128.0")._scale_update_param == 128
    assert made(loss_scale=None)._scale_update_param is None
    with pytest.raises(ConfigError, match="must be 'dynamic'"), pytest.warns(match="Apex"):
        ApexOptimWrapper(optimizer=torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1), loss_scale="dynamik")


@pytest.mark.parametrize(
    ("name", "value"),
    [("cast_model_type", torch.float16), ("master_weights", False), ("min_loss_scale", 1.0)],
)
def test_what_autocast_does_not_do_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name}=.* is a setting of Apex"):
        ApexOptimWrapper(**{name: value})


def test_it_trains_from_a_config() -> None:
    model = nn.Linear(2, 1)
    cfg = {"type": "ApexOptimWrapper", "opt_level": "O1", "optimizer": {"type": "SGD", "lr": 0.1}}
    with pytest.warns(UserWarning, match="Apex is not used"):
        wrapper = build_optim_wrapper(model, cfg)
    before = model.weight.clone()
    with wrapper.optim_context(model):
        loss = model(torch.ones(1, 2)).sum()
    wrapper.update_params(loss)
    assert not torch.equal(model.weight, before)
