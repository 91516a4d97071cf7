"""States with a group for each parameter, as MMEngine's constructor makes them with `paramwise_cfg`."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.optim import MultiStepLR, OptimWrapper, build_optim_wrapper

LR, WD = 0.1, 0.05
X = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
OPTIMIZERS = [
    {"type": "SGD", "lr": LR, "weight_decay": WD, "momentum": 0.9},
    {"type": "AdamW", "lr": LR, "weight_decay": WD},
]
PARAMWISE = {"norm_decay_mult": 0.0, "bias_lr_mult": 2.0}


def make() -> nn.Module:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    frozen = nn.Conv2d(4, 4, 1).requires_grad_(False)
    return nn.Sequential(conv, norm, frozen, nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 2))


def ungrouped(model: nn.Module, cfg: dict[str, Any]) -> torch.optim.Optimizer:
    """An optimizer with a group for each trainable parameter in the order of the model."""
    groups = []
    for module in model.modules():
        for name, param in module.named_parameters(recurse=False):
            if not param.requires_grad:
                continue
            is_norm = isinstance(module, nn.BatchNorm2d)
            group = {"params": [param]}
            if is_norm:
                group["weight_decay"] = 0.0
            elif name == "bias":
                group["lr"] = 2 * LR
            groups.append(group)
    kind = getattr(torch.optim, cfg["type"])
    return kind(groups, **{key: value for key, value in cfg.items() if key != "type"})


def ours(model: nn.Module, cfg: dict[str, Any], paramwise: dict[str, Any] | None = None) -> OptimWrapper:
    return build_optim_wrapper(model, {"optimizer": cfg, "paramwise_cfg": paramwise or PARAMWISE})


def train(model: nn.Module, optimizer: Any, schedulers: list[Any], steps: int) -> None:
    for _ in range(steps):
        loss = model(X).square().mean()
        if isinstance(optimizer, OptimWrapper):
            optimizer.update_params(loss)
        else:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


@pytest.mark.parametrize("cfg", OPTIMIZERS, ids=lambda cfg: cfg["type"])
def test_training_goes_on_exactly(cfg: dict[str, Any]) -> None:
    reference = make()
    before = ungrouped(reference, cfg)
    schedule = {"milestones": [2, 4], "gamma": 0.5}
    scheduler = MultiStepLR(before, **schedule)
    train(reference, before, [scheduler], 3)
    saved = copy.deepcopy((reference.state_dict(), before.state_dict(), scheduler.state_dict()))

    model = make()
    wrapper = ours(model, cfg)
    schedulers = [MultiStepLR(wrapper, **schedule)]
    assert len(wrapper.param_groups) < len(saved[1]["param_groups"])
    model.load_state_dict(saved[0])
    # MMEngine keeps a further group beside those of the parameters, which schedulers see as the last.
    extra = {"params": [0], "lr": LR}
    wrapper.load_state_dict({**saved[1], "base_param_settings": extra})
    values = {key: [*saved[2][key], LR] for key in ("base_values", "_last_value")}
    schedulers[0].load_state_dict({**saved[2], **values})
    assert len(schedulers[0].base_values) == len(wrapper.param_groups)

    train(reference, before, [scheduler], 3)
    train(model, wrapper, schedulers, 3)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, reference.state_dict()[name], rtol=1e-6, atol=1e-7, msg=name)
    rates = {id(param): group["lr"] for group in wrapper.param_groups for param in group["params"]}
    wanted = [group["lr"] for group in before.param_groups]
    trainable = [param for param in model.parameters() if param.requires_grad]
    assert [rates[id(param)] for param in trainable] == pytest.approx(wanted)


def test_our_own_state_is_taken_as_it_is() -> None:
    model = make()
    wrapper = ours(model, OPTIMIZERS[0])
    train(model, wrapper, [], 2)
    state = copy.deepcopy(wrapper.state_dict())
    other = ours(make(), OPTIMIZERS[0])
    other.load_state_dict(state)
    assert other.group_sources is None
    for key, value in state["state"].items():
        assert torch.equal(other.state_dict()["state"][key]["momentum_buffer"], value["momentum_buffer"])


def test_other_settings_are_refused() -> None:
    reference = make()
    before = ungrouped(reference, OPTIMIZERS[0])
    train(reference, before, [], 1)
    wrapper = ours(make(), OPTIMIZERS[0], {"norm_decay_mult": 0.0})
    with pytest.raises(ValueError, match=r"parameters 0 and 1 .*paramwise_cfg of that training"):
        wrapper.load_state_dict(before.state_dict())


def test_other_parameters_are_refused() -> None:
    reference = make()
    before = ungrouped(reference, OPTIMIZERS[0])
    train(reference, before, [], 1)
    state = before.state_dict()
    state["state"][0]["momentum_buffer"] = torch.zeros(2)
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 0 has the shape \(2,\)"):
        ours(make(), OPTIMIZERS[0]).load_state_dict(state)
    with pytest.raises(ValueError, match="group"):
        ours(nn.Sequential(*make()[:2]), OPTIMIZERS[0]).load_state_dict(before.state_dict())
