"""Several optimizers under one name each."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from toolkit.optim import OptimWrapper, OptimWrapperDict
from toolkit.utils import CheckpointError, ConfigError, TrainingError


def make() -> OptimWrapperDict:
    return OptimWrapperDict(
        generator=OptimWrapper(
            torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=0.1), clip_grad={"max_norm": 1}
        ),
        critic=OptimWrapper(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.2, momentum=0.5)),
    )


def test_it_is_read_like_a_dict_and_like_a_wrapper() -> None:
    wrappers = make()
    assert list(wrappers.keys()) == ["generator", "critic"]
    assert dict(wrappers.items())["critic"] is wrappers["critic"]
    assert len(list(wrappers.values())) == len(wrappers) == 2
    assert "critic" in wrappers
    assert isinstance(wrappers, OptimWrapper)
    assert wrappers.get_lr() == {"generator.lr": [0.1], "critic.lr": [0.2]}
    assert wrappers.get_momentum() == {"generator.momentum": [0.9], "critic.momentum": [0.5]}
    assert set(wrappers.param_groups) == {"generator", "critic"}
    assert "critic" in repr(wrappers)


def test_each_wrapper_steps_and_logs() -> None:
    wrappers = make()
    param = wrappers["generator"].param_groups[0]["params"][0]
    before = param.clone()
    wrappers["generator"].update_params(param.sum() * 3)
    assert not torch.equal(param, before)
    assert wrappers.log_vars["generator.grad_norm"].item() == pytest.approx(3.0)
    param.sum().backward()
    wrappers.zero_grad()
    assert param.grad is None
    wrappers.initialize_count_status(nn.Linear(1, 1), 0, 10)
    assert wrappers.should_update()


@pytest.mark.parametrize("method", ["update_params", "backward", "optim_context"])
def test_what_needs_one_of_them_says_so(method: str) -> None:
    with pytest.raises(TrainingError, match=rf"optim_wrapper\[name\].{method}.*generator, critic"):
        getattr(make(), method)(torch.zeros(()))
    with pytest.raises(TrainingError, match="step"):
        make().step()


def test_state() -> None:
    first, second = make(), make()
    param = first["critic"].param_groups[0]["params"][0]
    first["critic"].update_params(param.sum())
    second.load_state_dict(first.state_dict())
    buffers = [one["critic"].state_dict()["state"][0]["momentum_buffer"] for one in (first, second)]
    assert torch.equal(*buffers)
    with pytest.raises(CheckpointError, match="did you mean 'critic'"):
        second.load_state_dict({"critics": {}})


def test_wrong_members_are_named() -> None:
    with pytest.raises(ConfigError, match="'critic' must be an OptimWrapper"):
        OptimWrapperDict(critic=torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))
    with pytest.raises(KeyError, match="did you mean 'critic'"):
        make()["critik"]
