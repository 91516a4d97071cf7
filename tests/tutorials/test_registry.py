"""Registries: names for classes, built from dicts; functions; scopes of several projects."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toolkit.config import Config
from toolkit.registry import MODELS, DefaultScope, Registry, build_from_cfg

ACTIVATION = Registry("tutorial activation", scope="tutorial")


@ACTIVATION.register_module()
class Sigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sigmoid()


@ACTIVATION.register_module(name=["Softmax", "soft"])
class Softmax(nn.Module):
    def __init__(self, dim: int = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return x.softmax(self.dim)


def test_modules_are_built_from_configs() -> None:
    x = torch.randn(2, 3)
    sigmoid = ACTIVATION.build({"type": "Sigmoid"})
    assert type(sigmoid) is Sigmoid
    assert sigmoid(x).equal(x.sigmoid())
    for kind in ("Softmax", "soft", Softmax):
        assert ACTIVATION.build({"type": kind, "dim": 1}).dim == 1
    assert ACTIVATION.get("soft") is Softmax
    assert "Sigmoid" in ACTIVATION
    assert len(ACTIVATION) == 3
    cfg = Config({"act": {"type": "soft"}})
    assert build_from_cfg(cfg.act, ACTIVATION, {"dim": 1}).dim == 1
    assert cfg.act == {"type": "soft"}


def test_a_name_that_is_not_there_and_one_that_is_taken() -> None:
    with pytest.raises(ValueError, match="Sigmoid"):
        ACTIVATION.build({"type": "Sigmoidd"})
    with pytest.raises(KeyError, match="force=True"):
        ACTIVATION.register_module(name="Sigmoid", module=nn.ReLU)


def test_a_build_function_of_ones_own() -> None:
    def build_activation(cfg: dict[str, Any], registry: Registry, **kwargs: Any) -> Any:
        cfg = dict(cfg)
        return registry.get(cfg.pop("type"))(**cfg, **kwargs), "built"

    registry = Registry("tutorial built", build_func=build_activation, scope="tutorial")
    registry.register_module(module=Softmax)
    module, mark = registry.build({"type": "Softmax"}, dim=1)
    assert (module.dim, mark) == (1, "built")


def test_functions_are_members_too() -> None:
    functions = Registry("tutorial function", scope="tutorial")

    @functions.register_module()
    def relu(x: Tensor) -> Tensor:
        return x.relu()

    found = functions.get("relu")
    assert found is not None
    assert found(torch.tensor(-1.0)) == 0


def test_children_find_what_their_parents_have() -> None:
    parent = Registry("tutorial model", scope="tutorialparent")
    child = Registry("tutorial model", parent=parent, scope="tutorialchild")
    sister = Registry("tutorial model", parent=parent, scope="tutorialsister")

    @parent.register_module()
    class Base: ...

    @child.register_module(name="Own")
    class ChildOwn: ...

    @sister.register_module(name="Own")
    class SisterOwn: ...

    assert type(child.build({"type": "Base"})) is Base
    assert type(child.build({"type": "Own"})) is ChildOwn
    assert type(child.build({"type": "tutorialsister.Own"})) is SisterOwn
    assert type(parent.build({"type": "tutorialchild.Own"})) is ChildOwn
    with DefaultScope.overwrite_default_scope("tutorialsister"):
        assert type(parent.build({"type": "Own"})) is SisterOwn
    with parent.switch_scope_and_registry("tutorialchild") as current:
        assert current is child


def test_a_child_of_our_models() -> None:
    models = Registry("model", parent=MODELS, scope="tutorialmodels")

    @models.register_module()
    class TutorialNet(nn.Module): ...

    assert type(MODELS.build({"type": "tutorialmodels.TutorialNet"})) is TutorialNet
    assert type(models.build({"type": "ReLU"})) is nn.ReLU
