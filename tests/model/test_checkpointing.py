from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit.model import turn_on_activation_checkpointing
from toolkit.utils import ConfigError


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
        for _ in range(4)
    ]
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(*layers), nn.Conv2d(4, 2, 1))


def kept_bytes(model: nn.Module, x: Tensor) -> tuple[int, Tensor]:
    """Bytes of the tensors kept for the backward pass, weights aside; and the loss."""
    storages = {param.untyped_storage().data_ptr() for param in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in storages:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = model(x).square().mean()
    return sum(kept.values()), loss


def step(model: nn.Module, x: Tensor) -> int:
    torch.manual_seed(1)
    size, loss = kept_bytes(model, x)
    loss.backward()
    return size


@pytest.mark.parametrize("momentum", [0.1, None])
def test_gradients_and_statistics_are_the_same_and_less_is_kept(momentum: float | None) -> None:
    plain = network()
    for norm in plain.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = momentum
    saving = copy.deepcopy(plain)
    turn_on_activation_checkpointing(saving, ["1.*"])
    x = torch.rand(2, 3, 16, 16)
    for _ in range(2):
        sizes = step(plain, x), step(saving, x)
    assert sizes[1] < 0.5 * sizes[0]
    for (name, one), other in zip(plain.named_parameters(), saving.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad), name
    state = saving.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in plain.state_dict().items())
    assert list(state) == list(plain.state_dict())
    assert all(n.momentum == momentum for n in saving.modules() if isinstance(n, nn.BatchNorm2d))


def test_a_frozen_norm_stays_frozen() -> None:
    model = network()
    turn_on_activation_checkpointing(model, "1")
    model.train()
    norm = model[1][0][1].eval()
    before = copy.deepcopy(norm.state_dict())
    step(model, torch.rand(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())


def test_of_nested_modules_the_outermost_is_taken_once() -> None:
    calls: list[Any] = []
    model = network()
    model[1][0][0].register_forward_hook(lambda *_: calls.append(1))
    turn_on_activation_checkpointing(model, ["1", "1.*"])
    step(model, torch.rand(2, 3, 8, 8))
    assert len(calls) == 2  # forward, and once again for the gradients
    calls.clear()
    with torch.no_grad():
        model(torch.rand(2, 3, 8, 8))
    assert len(calls) == 1


def test_a_copy_computes_with_its_own_weights() -> None:
    model = network()
    turn_on_activation_checkpointing(model, "1")
    twin = copy.deepcopy(model).eval()
    model.eval()
    x = torch.rand(1, 3, 8, 8)
    before = twin(x)
    with torch.no_grad():
        for param in model.parameters():
            param.zero_()
    assert torch.equal(twin(x), before)
    assert not torch.equal(model(x), before)


@pytest.mark.parametrize(
    ("given", "message"), [(["2", "bakcbone"], "no module of Sequential is called 'bakc"), (3, "list")]
)
def test_what_fits_nothing_is_told(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        turn_on_activation_checkpointing(network(), given)
