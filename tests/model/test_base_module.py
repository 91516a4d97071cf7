"""When each initialiser of a tree of modules runs, and who wins."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from toolkit.model import BaseModule, ModuleDict, ModuleList, Sequential
from toolkit.utils import ConfigError

CONSTANT = {"type": "Constant", "layer": "Linear"}


class Leaf(BaseModule):
    def __init__(self, init_cfg: object = None) -> None:
        super().__init__(init_cfg)
        self.linear = nn.Linear(1, 1)


class Tree(BaseModule):
    def __init__(self, init_cfg: object = None, leaf_cfg: object = None) -> None:
        super().__init__(init_cfg)
        self.plain = nn.Linear(1, 1)
        self.leaf = Leaf(leaf_cfg)


def value(module: nn.Linear) -> float:
    return module.weight.item()


def test_a_nearer_config_wins() -> None:
    tree = Tree({**CONSTANT, "val": 1}, {**CONSTANT, "val": 2})
    tree.init_weights()
    assert (value(tree.plain), value(tree.leaf.linear)) == (1, 2)
    assert tree.is_init
    assert tree.leaf.is_init


def test_configs_of_a_list_run_in_order() -> None:
    tree = Tree([{**CONSTANT, "val": 1}, {**CONSTANT, "val": 3}])
    tree.init_weights()
    assert value(tree.leaf.linear) == 3


def test_pretrained_wins_over_children(tmp_path: Path) -> None:
    source = Tree({**CONSTANT, "val": 7, "bias": 7})
    source.init_weights()
    torch.save({"state_dict": source.state_dict()}, tmp_path / "tree.pth")
    pretrained = {"type": "mmengine.Pretrained", "checkpoint": str(tmp_path / "tree.pth")}
    tree = Tree([pretrained, {**CONSTANT, "val": 1}], {**CONSTANT, "val": 2})
    tree.init_weights()
    assert (value(tree.plain), value(tree.leaf.linear)) == (7, 7)


def test_a_second_call_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    leaf = Leaf({**CONSTANT, "val": 1})
    leaf.init_weights()
    nn.init.constant_(leaf.linear.weight, 5)
    with caplog.at_level(logging.WARNING):
        leaf.init_weights()
    assert value(leaf.linear) == 5
    assert "second time" in caplog.text


def test_the_first_call_is_silent(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
    with caplog.at_level(logging.WARNING):
        Tree({**CONSTANT, "val": 1}, {"type": "Kaiming", "layer": "Linear"}).init_weights()
    assert not caplog.text
    assert not recwarn.list


def test_initialised_children_are_left_alone() -> None:
    tree = Tree(leaf_cfg={**CONSTANT, "val": 2})
    tree.leaf.is_init = True
    nn.init.constant_(tree.leaf.linear.weight, 9)
    tree.init_weights()
    assert value(tree.leaf.linear) == 9


def test_a_module_may_override_init_weights() -> None:
    class Own(Leaf):
        def init_weights(self) -> None:
            super().init_weights()
            nn.init.constant_(self.linear.weight, 4)

    tree = Sequential(Own({**CONSTANT, "val": 1}))
    tree.init_weights()
    assert value(tree[0].linear) == 4


def test_the_inside_of_a_wrapper_is_initialised() -> None:
    tree = Sequential(nn.DataParallel(Leaf({**CONSTANT, "val": 6})))
    tree.init_weights()
    assert value(tree[0].module.linear) == 6


def test_configs_are_copied() -> None:
    cfg = {**CONSTANT, "val": 1, "override": {"name": "linear"}}
    first, second = Leaf(cfg), Leaf(cfg)
    first.init_weights()
    second.init_weights()
    assert cfg["override"] == {"name": "linear"}
    assert first.init_cfg is not cfg


@pytest.mark.parametrize(
    "container",
    [
        Sequential(Leaf({**CONSTANT, "val": 3}), init_cfg={**CONSTANT, "val": 1}),
        ModuleList([Leaf({**CONSTANT, "val": 3})], init_cfg={**CONSTANT, "val": 1}),
        ModuleDict({"0": Leaf({**CONSTANT, "val": 3})}, init_cfg={**CONSTANT, "val": 1}),
    ],
    ids=["Sequential", "ModuleList", "ModuleDict"],
)
def test_containers_take_part(container: BaseModule) -> None:
    container.init_weights()
    key = "0" if isinstance(container, ModuleDict) else 0
    assert value(container[key].linear) == 3
    assert container.is_init
    assert "init_cfg" in repr(container)
    assert list(container.state_dict()) == ["0.linear.weight", "0.linear.bias"]


@pytest.mark.parametrize("cfg", ["Kaiming", ["Kaiming"], {"layer": "Linear"}])
def test_wrong_configs_are_named(cfg: object) -> None:
    with pytest.raises(ConfigError, match="init_cfg of Leaf"):
        Leaf(cfg).init_weights()
