"""Building from configs, and the messages where it can't be done."""

from __future__ import annotations

import sys

import pytest
import torch

from toolkit.config import LazyObject
from toolkit.registry import (
    MODELS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    DefaultScope,
    Registry,
    build_from_cfg,
    build_model_from_cfg,
    build_scheduler_from_cfg,
)
from toolkit.utils import BuildError


class Net:
    def __init__(self, depth, width=1, part=None):
        if depth < 0:
            raise ZeroDivisionError("depth is below zero")
        self.depth, self.width, self.part = depth, width, part


class Scheduler:
    def __init__(self, optimizer, end):
        self.end = end

    @classmethod
    def build_iter_from_epoch(cls, optimizer, end, epoch_length):
        return cls(optimizer, end * epoch_length)


@pytest.fixture
def registry():
    made = Registry("net", scope="of_this_test")
    made.register_module(module=Net)
    made.register_module("double", module=lambda x: 2 * x)
    made.register_module(module=Scheduler)
    return made


def test_name_class_and_function(registry):
    cfg = {"type": "Net", "depth": 3}
    net = build_from_cfg(cfg, registry)
    assert (net.depth, net.width) == (3, 1)
    assert cfg == {"type": "Net", "depth": 3}
    assert registry.build({"type": Net, "depth": 1}).depth == 1
    assert registry.build({"type": "of_this_test.Net", "depth": 1}).depth == 1
    assert registry.build({"type": "double", "x": 4}) == 8


def test_default_args_fill_in_only(registry):
    net = build_from_cfg({"depth": 3}, registry, default_args={"type": "Net", "depth": 1, "width": 7})
    assert (net.depth, net.width) == (3, 7)


def test_scope_key_sets_the_default_scope():
    top = Registry("net", scope="top_of_this_test")
    child = Registry("net", parent=top, scope="child_of_this_test")
    child.register_module("where", module=lambda: DefaultScope.get_current_instance().scope_name)
    assert top.build({"type": "where", "_scope_": "child_of_this_test"}) == "child_of_this_test"


def test_own_build_func():
    made = Registry("x", scope="x", build_func=lambda cfg, registry, extra=0: (cfg, registry.name, extra))
    assert made.build({"a": 1}, extra=2) == ({"a": 1}, "x", 2)
    child = Registry("x", parent=made, scope="y")
    assert child.build({"a": 1}) == ({"a": 1}, "x", 0)


@pytest.mark.parametrize("cfg", [3, "Net", Net, None])
def test_only_dicts_are_built(registry, cfg):
    with pytest.raises(TypeError, match="dict"):
        registry.build(cfg)


def test_messages(registry):
    with pytest.raises(BuildError, match=r"a net needs a 'type'; got depth"):
        registry.build({"depth": 3})
    with pytest.raises(BuildError, match=r"no net is called 'Nte' .*of_this_test.*did you mean 'Net'\?"):
        registry.build({"type": "Nte"})
    with pytest.raises(BuildError, match=r"no net is called 'Qqqqqqq'.*custom_imports"):
        registry.build({"type": "Qqqqqqq"})
    with pytest.raises(
        BuildError, match=r"^Net got 'dpeth'; did you mean 'depth'\? It takes: depth \(required\), w"
    ):
        registry.build({"type": "Net", "dpeth": 3})
    with pytest.raises(BuildError, match=r"^Net needs 'depth'\. It takes"):
        registry.build({"type": "Net"})
    with pytest.raises(BuildError, match="type must be a name"):
        registry.build({"type": 3})


def test_the_origin_stands_first(tmp_path):
    Config = pytest.importorskip("toolkit.config.config", reason="toolkit.config has no Config").Config
    path = tmp_path / "c.py"
    path.write_text("a = 1\nlayer = dict(\n    type='Linear',\n    in_feature=2,\n    out_features=3)\n")
    cfg = Config.fromfile(str(path))
    with pytest.raises(BuildError, match=r"c\.py:4: Linear got 'in_feature'; did you mean 'in_features'\?"):
        MODELS.build(cfg["layer"])
    path.write_text("layer = dict(\n    type='Liniar')\n")
    with pytest.raises(
        BuildError, match=r"c\.py:2: no model is called 'Liniar'.*did you mean 'Bilinear'|'Linear'"
    ):
        MODELS.build(Config.fromfile(str(path))["layer"])


def test_an_exception_inside_keeps_its_type_and_gets_a_note(registry):
    with pytest.raises(ZeroDivisionError, match="below zero") as caught:
        registry.build({"type": "Net", "depth": -1})
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["while building Net"]
    assert caught.traceback[-1].name == "__init__"


def test_a_type_error_inside_is_not_taken_for_wrong_arguments(registry):
    registry.register_module("bad", module=lambda: len(3))
    with pytest.raises(TypeError, match="has no len") as caught:
        registry.build({"type": "bad"})
    assert not isinstance(caught.value, BuildError)


def test_torch_by_name_and_by_path():
    layer = MODELS.build({"type": "Linear", "in_features": 2, "out_features": 3})
    assert isinstance(layer, torch.nn.Linear)
    assert isinstance(MODELS.build({"type": "torch.nn.ReLU"}), torch.nn.ReLU)
    optimizer = OPTIMIZERS.build({"type": "SGD", "lr": 0.1}, default_args={"params": layer.parameters()})
    assert isinstance(optimizer, torch.optim.SGD)
    with pytest.raises(BuildError, match="SGD got 'momentm'; did you mean 'momentum'"):
        OPTIMIZERS.build({"type": "SGD", "lr": 0.1, "momentm": 0.9, "params": layer.parameters()})


def test_lazy_references():
    assert isinstance(MODELS.build({"type": LazyObject("torch.nn", "ReLU")}), torch.nn.ReLU)
    with pytest.raises(BuildError, match="can't be used as a model"):
        MODELS.build({"type": LazyObject("torch.hub", "load")})
    with pytest.raises(BuildError, match="may not import"):
        MODELS.build({"type": LazyObject("os", "system")})


def test_lazy_references_as_arguments(registry):
    lazy = LazyObject("torch.nn", "ReLU")
    net = registry.build({"type": "Net", "depth": 1, "width": [lazy, 2], "part": {"act": lazy}})
    assert net.width == [torch.nn.ReLU, 2]
    assert net.part == {"act": torch.nn.ReLU}
    assert (
        registry.build({"type": "Net", "depth": 1, "part": LazyObject("torch", "float16")}).part
        is torch.float16
    )
    # What has a type is left for the registry that builds it.
    nested = {"type": lazy}
    assert registry.build({"type": "Net", "depth": 1, "part": nested}).part == nested
    for path in ("torch.hub.load", "torch.load", "os.system", "torch.nn.NoSuch"):
        with pytest.raises(BuildError):
            registry.build({"type": "Net", "depth": 1, "part": LazyObject(path)})


def test_a_list_of_models_makes_a_sequence():
    parts = [{"type": "Linear", "in_features": 2, "out_features": 3}, {"type": "ReLU"}]
    made = build_model_from_cfg(parts, MODELS)
    assert isinstance(made, torch.nn.Sequential)
    assert [type(one).__name__ for one in made] == ["Linear", "ReLU"]


def test_schedulers(registry):
    assert PARAM_SCHEDULERS.build_func is build_scheduler_from_cfg
    args = {"optimizer": None, "epoch_length": 5}
    plain = build_scheduler_from_cfg({"type": "Scheduler", "end": 2}, registry, args)
    assert plain.end == 2
    turned = build_scheduler_from_cfg(
        {"type": "Scheduler", "end": 2, "convert_to_iter_based": True}, registry, args
    )
    assert turned.end == 10
    with pytest.raises(BuildError, match="epoch_length"):
        build_scheduler_from_cfg(
            {"type": "Scheduler", "end": 2, "optimizer": None, "convert_to_iter_based": True}, registry
        )
