"""The tasks' registries: children of the root ones, of the same names, whose locations exist."""

from __future__ import annotations

import importlib

import pytest

from toolkit import registry as root
from toolkit.registry import Registry
from toolkit.registry.allowed import FUNCTION_KIND, load_string


def registries(module):
    return {name: value for name, value in vars(module).items() if isinstance(value, Registry)}


ROOT = registries(root)
# What MMEngine's documentation teaches.
NAMES = {
    "MODELS", "DATASETS", "TRANSFORMS", "METRICS", "HOOKS", "LOOPS", "RUNNERS", "OPTIMIZERS",
    "OPTIM_WRAPPERS", "OPTIM_WRAPPER_CONSTRUCTORS", "PARAM_SCHEDULERS", "DATA_SAMPLERS", "EVALUATOR",
    "VISUALIZERS", "VISBACKENDS", "MODEL_WRAPPERS", "WEIGHT_INITIALIZERS", "TASK_UTILS",
    "LOG_PROCESSORS", "INFERENCERS", "FUNCTIONS", "STRATEGIES", "RUNNER_CONSTRUCTORS",
}  # fmt: skip


def test_all_root_registries_are_there():
    assert set(ROOT) == NAMES
    assert len({registry.name for registry in ROOT.values()}) == len(ROOT)


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_a_task_has_a_child_of_each(task):
    children = registries(importlib.import_module(f"toolkit.{task}.registry"))
    assert set(children) == NAMES
    for name, child in children.items():
        assert child.parent is ROOT[name]
        assert child.scope == task
        assert child.name == ROOT[name].name
        assert child.base == ROOT[name].base
        assert ROOT[name].children[task] is child


@pytest.mark.parametrize("module", ["toolkit", "toolkit.detection", "toolkit.classification"])
@pytest.mark.parametrize("name", sorted(NAMES))
def test_locations_kinds_and_resolvers_can_be_loaded(module, name):
    registry = registries(importlib.import_module(f"{module}.registry"))[name]
    registry.import_from_location()
    for resolver in registry.resolvers:
        assert load_string(resolver)("NothingOfThisName") is None
    if registry.base not in (None, FUNCTION_KIND):
        for one in (registry.base,) if isinstance(registry.base, str) else registry.base:
            assert isinstance(load_string(one), type)


@pytest.mark.parametrize("module", ["toolkit", "toolkit.detection", "toolkit.classification"])
def test_what_is_registered_is_of_the_registrys_kind(module):
    for registry in registries(importlib.import_module(f"{module}.registry")).values():
        registry.import_from_location()
        if registry.base in (None, FUNCTION_KIND):
            continue
        bases = (registry.base,) if isinstance(registry.base, str) else registry.base
        kinds = tuple(load_string(one) for one in bases)
        for name, value in registry.module_dict.items():
            assert not isinstance(value, type) or issubclass(value, kinds), (registry.name, name)


@pytest.mark.parametrize("task", ["detection", "classification"])
def test_names_of_mmcv_are_those_of_the_task_where_it_has_its_own(task):
    with root.DefaultScope.overwrite_default_scope(task):
        for name in ("RandomFlip", "Resize", "LoadImageFromFile", "CenterCrop"):
            found = root.TRANSFORMS.get(f"mmcv.{name}")
            assert found is root.TRANSFORMS.get(name)
            assert found is root.TRANSFORMS.get(f"mmcv.transforms.{name}")
    assert root.TRANSFORMS.get("toolkit.RandomFlip") is None
