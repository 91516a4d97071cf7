"""Weights at the start: `init_cfg` by layer and by name, what overrides it, checkpoints, functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.model import (
    BaseModule,
    ModuleList,
    Sequential,
    bias_init_with_prob,
    caffe2_xavier_init,
    constant_init,
    initialize,
    kaiming_init,
    normal_init,
    trunc_normal_init,
    uniform_init,
    xavier_init,
)

CONSTANT = {"type": "Constant", "val": 1, "bias": 2, "layer": "Conv2d"}


class ToyNet(BaseModule):
    def __init__(self, init_cfg: Any = None) -> None:
        super().__init__(init_cfg)
        self.linear = nn.Linear(2, 3)
        self.conv = nn.Conv2d(1, 1, 1)
        self.reg = nn.Linear(2, 3)


def all_of(param: torch.Tensor, value: float) -> bool:
    return bool((param == value).all())


def test_one_layer_and_several() -> None:
    net = ToyNet(CONSTANT)
    before = net.linear.weight.detach().clone()
    net.init_weights()
    assert all_of(net.conv.weight, 1)
    assert all_of(net.conv.bias, 2)
    assert net.linear.weight.equal(before)
    both = ToyNet([CONSTANT, {"type": "Constant", "layer": "Linear", "val": 3, "bias": 4}])
    both.init_weights()
    assert all_of(both.linear.weight, 3)
    assert all_of(both.conv.weight, 1)
    many = ToyNet({"type": "Constant", "layer": ["Conv2d", "Linear"], "val": 5})
    many.init_weights()
    assert all_of(many.reg.weight, 5)
    assert all_of(many.conv.weight, 5)


def test_override_by_name() -> None:
    override = {"type": "Constant", "name": "reg", "val": 7, "bias": 8}
    net = ToyNet(
        {"type": "Constant", "layer": ["Linear", "Conv2d"], "val": 1, "bias": 2, "override": override}
    )
    net.init_weights()
    assert all_of(net.linear.weight, 1)
    assert all_of(net.reg.weight, 7)
    assert all_of(net.reg.bias, 8)
    alone = ToyNet({"type": "Constant", "val": 1, "bias": 2, "override": {"name": "reg"}})
    before = alone.linear.weight.detach().clone()
    alone.init_weights()
    assert alone.linear.weight.equal(before)
    assert all_of(alone.reg.weight, 1)
    with pytest.raises(ValueError, match="'type'"):
        ToyNet({"type": "Constant", "val": 1, "override": {"name": "reg", "val": 3}}).init_weights()


def test_distributions() -> None:
    torch.manual_seed(0)
    net = nn.Linear(200, 200)
    initialize(net, {"type": "Normal", "layer": "Linear", "mean": 1.0, "std": 0.1})
    assert net.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert net.weight.std().item() == pytest.approx(0.1, rel=0.05)
    initialize(net, {"type": "Uniform", "layer": "Linear", "a": 2.0, "b": 3.0})
    assert net.weight.min() >= 2
    assert net.weight.max() <= 3
    initialize(net, {"type": "TruncNormal", "layer": "Linear", "std": 1.0, "a": -0.5, "b": 0.5})
    assert net.weight.abs().max() <= 0.5
    initialize(net, {"type": "Xavier", "layer": "Linear", "distribution": "uniform"})
    assert net.weight.abs().max().item() == pytest.approx((6 / 400) ** 0.5, rel=0.01)
    initialize(net, {"type": "Kaiming", "layer": "Linear", "distribution": "normal", "mode": "fan_in"})
    assert net.weight.std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.05)


def test_a_module_of_modules() -> None:
    class Parent(BaseModule):
        def __init__(self) -> None:
            super().__init__({"type": "Constant", "layer": "Linear", "val": 1})
            self.fc = nn.Linear(1, 1)
            self.child = ToyNet({"type": "Constant", "layer": "Linear", "val": 2})
            self.own = Own()

    class Own(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(1, 1)

        def init_weights(self) -> None:
            super().init_weights()
            nn.init.constant_(self.fc.weight, 9)

    parent = Parent()
    parent.init_weights()
    assert [float(layer.weight[0, 0]) for layer in (parent.fc, parent.child.linear, parent.own.fc)] == [
        1,
        2,
        9,
    ]
    listed = Sequential(nn.Linear(1, 1), init_cfg={"type": "Constant", "layer": "Linear", "val": 4})
    listed.init_weights()
    assert all_of(listed[0].weight, 4)
    assert isinstance(ModuleList([nn.Linear(1, 1)]), nn.ModuleList)


def test_from_a_checkpoint(tmp_path: Path) -> None:
    trained = ToyNet()
    torch.save(trained.state_dict(), tmp_path / "net.pth")
    net = ToyNet({"type": "Pretrained", "checkpoint": str(tmp_path / "net.pth")})
    net.init_weights()
    assert net.linear.weight.equal(trained.linear.weight)

    class Whole(BaseModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = ToyNet()

    torch.save(Whole().state_dict(), tmp_path / "whole.pth")
    part = ToyNet(
        {"type": "Pretrained", "checkpoint": str(tmp_path / "whole.pth"), "prefix": "backbone."},
    )
    part.init_weights()
    saved = torch.load(tmp_path / "whole.pth", weights_only=True)
    assert part.conv.weight.equal(saved["backbone.conv.weight"])


def test_functions() -> None:
    conv = nn.Conv2d(3, 4, 3)
    constant_init(conv, 0.5, bias=0.25)
    assert all_of(conv.weight, 0.5)
    assert all_of(conv.bias, 0.25)
    for function in (xavier_init, kaiming_init, caffe2_xavier_init):
        function(conv, bias=0.125)
        assert conv.weight.std() > 0
    assert all_of(conv.bias, 0.125)
    normal_init(conv, mean=3, std=0.0, bias=1)
    assert all_of(conv.weight, 3)
    uniform_init(conv, a=4, b=4)
    assert all_of(conv.weight, 4)
    trunc_normal_init(conv, std=1, a=-0.1, b=0.1)
    assert conv.weight.abs().max() <= 0.1
    assert torch.sigmoid(torch.tensor(bias_init_with_prob(0.01))).item() == pytest.approx(0.01)
