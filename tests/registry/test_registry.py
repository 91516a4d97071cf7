"""Registering and looking up: scopes, parents, children, locations, fallbacks."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch

from toolkit import registry as root
from toolkit.registry import DefaultScope, Registry, init_default_scope
from toolkit.registry.scope import current_scope
from toolkit.utils import BuildError


@pytest.fixture
def tree():
    """A root registry with two children, of scopes that nothing else uses."""
    top = Registry("animal", scope="top")
    left = Registry("animal", parent=top, scope="left")
    right = Registry("animal", parent=top, scope="right")
    return top, left, right


class Dog: ...


class Cat: ...


class Cow: ...


def test_register_as_decorator_and_as_call(tree):
    top, _, _ = tree

    @top.register_module()
    class Bird: ...

    @top.register_module("Parrot")
    class _Talking: ...

    @top.register_module(name=["Hen", "Cock"])
    def chicken(): ...

    top.register_module(module=Dog)
    top.register_module("Hound", module=Dog)
    assert top.module_dict == {
        "Bird": Bird,
        "Parrot": _Talking,
        "Hen": chicken,
        "Cock": chicken,
        "Dog": Dog,
        "Hound": Dog,
    }
    assert len(top) == 6
    assert "Hen" in top
    assert "Eagle" not in top
    assert "nowhere.Eagle" not in top
    assert top.get("Eagle") is None


def test_a_taken_name_is_an_error_that_names_both_places(tree):
    top, _, _ = tree
    top.register_module("Pet", module=Dog)
    with pytest.raises(KeyError) as caught:
        top.register_module("Pet", module=Cat)
    said = str(caught.value)
    assert "'Pet'" in said
    assert "Dog" in said
    assert "Cat" in said
    assert said.count("test_registry.py:") == 2
    top.register_module("Pet", module=Cat, force=True)
    assert top.get("Pet") is Cat


@pytest.mark.parametrize("arguments", [{"force": 1}, {"name": 3}, {"name": [1]}, {"module": 3}])
def test_bad_registration(tree, arguments):
    with pytest.raises(TypeError):
        tree[0].register_module(**{"module": Dog, **arguments})


def test_decorator_without_parentheses_says_so(tree):
    with pytest.raises(TypeError, match="parentheses"):
        tree[0].register_module(Dog)


def test_parent_explicit_scope_and_default_scope(tree):
    top, left, right = tree
    top.register_module("Pet", module=Dog)
    left.register_module("Pet", module=Cat)
    assert top.get("Pet") is Dog
    assert left.get("Pet") is Cat
    assert right.get("Pet") is Dog  # from its parent
    assert top.get("left.Pet") is Cat
    assert left.get("top.Pet") is Dog
    assert right.get("left.Pet") is Cat
    with DefaultScope.overwrite_default_scope("left"):
        assert top.get("Pet") is Cat
        assert right.get("Pet") is Cat
        assert right.get("top.Pet") is Dog
    assert top.get("Pet") is Dog
    assert right.get("left.Dog") is None


def test_own_name_wins_over_the_parent_under_a_default_scope_without_it(tree):
    top, left, right = tree
    top.register_module("Pet", module=Dog)
    right.register_module("Pet", module=Cow)
    with DefaultScope.overwrite_default_scope("left"):
        assert right.get("Pet") is Cow
        assert left.get("Pet") is Dog


def test_a_name_in_one_child_is_found_from_the_root_and_one_in_two_is_ambiguous(tree):
    top, left, right = tree
    left.register_module(module=Cat)
    assert top.get("Cat") is Cat
    with DefaultScope.overwrite_default_scope("top"):
        assert top.get("Cat") is Cat
    right.register_module("Cat", module=Cow)
    with pytest.raises(BuildError, match=r"several scopes.*left, right.*'left.Cat' or 'right.Cat'"):
        top.get("Cat")
    assert "Cat" not in top
    assert right.get("Cat") is Cow


def test_a_task_does_not_borrow_from_another(tree):
    """The same name may mean another thing there."""
    top, left, right = tree
    left.register_module(module=Cat)
    assert right.get("Cat") is None
    with DefaultScope.overwrite_default_scope("right"):
        assert top.get("Cat") is None
        with pytest.raises(BuildError, match=r"searched scopes: right, top\); did you mean 'left.Cat'\?"):
            top.build({"type": "Cat"})


def test_grandchildren(tree):
    top, left, _ = tree
    leaf = Registry("animal", parent=left, scope="leaf")
    leaf.register_module(module=Cow)
    left.register_module(module=Cat)
    assert leaf.get("Cat") is Cat
    assert top.get("leaf.Cow") is Cow
    assert leaf.root is top


def test_scope_is_inferred_and_unique(tree):
    top, _, _ = tree
    assert Registry("animal").scope == __name__.partition(".")[0]
    with pytest.raises(KeyError, match="left"):
        Registry("animal", parent=top, scope="left")


def test_switch_scope_and_registry(tree):
    top, left, _ = tree
    with top.switch_scope_and_registry("left") as found:
        assert found is left
        assert current_scope() == "left"
    with top.switch_scope_and_registry(None) as found:
        assert found is top
    with top.switch_scope_and_registry("unheard_of") as found:
        assert found is top


def test_default_scope_instances():
    before = DefaultScope.get_current_instance()
    with DefaultScope.overwrite_default_scope("mmdet"):
        assert DefaultScope.get_current_instance().scope_name == "mmdet"
        assert current_scope() == "detection"
        with DefaultScope.overwrite_default_scope(None):
            assert current_scope() == "detection"
        init_default_scope("mmcls")
        assert current_scope() == "classification"
        assert DefaultScope.get_instance("x").scope_name == "mmcls"
    assert DefaultScope.get_current_instance() is before


def test_default_scopes_are_found_by_name():
    made = DefaultScope.get_instance("of the test", scope_name="mmdet")
    assert DefaultScope.check_instance_created("of the test")
    assert not DefaultScope.check_instance_created("of no test")
    DefaultScope.get_instance("another", scope_name="mmcls")
    assert DefaultScope.get_instance("of the test") is made
    assert (made.instance_name, made.scope_name) == ("of the test", "mmdet")
    assert DefaultScope.get_current_instance().scope_name == "mmcls"


def test_locations_are_imported_once_at_the_first_miss(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "farm_for_test.py").write_text(
        "import toolkit_test_farm_registry as r\n"
        "r.COUNT.append(1)\n"
        "@r.REGISTRY.register_module()\nclass Goat: ...\n"
    )
    (tmp_path / "toolkit_test_farm_registry.py").write_text(
        "from toolkit.registry import Registry\nCOUNT = []\n"
        "REGISTRY = Registry('animal', scope='farm', locations=['farm_for_test'])\n"
    )
    import toolkit_test_farm_registry as farm

    farm.REGISTRY.register_module(module=Dog)
    assert farm.REGISTRY.get("Dog") is Dog
    assert farm.COUNT == []
    assert farm.REGISTRY.get("Goat").__name__ == "Goat"
    assert farm.REGISTRY.get("Sheep") is None
    assert farm.COUNT == [1]


def test_an_import_error_inside_a_location_is_not_swallowed(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_for_test.py").write_text("import a_module_that_is_not_there\n")
    registry = Registry("animal", scope="sick", locations=["broken_for_test"])
    for _ in range(2):  # also the second time
        with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
            registry.get("Anything")


def test_a_location_that_does_not_exist_is_an_error():
    registry = Registry("animal", scope="lost", locations=["toolkit.no_such_module"])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        registry.get("Anything")


def test_every_torch_optimizer_and_layer_is_found_unlisted():
    optimizers = [
        name
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    ]
    for name in set(optimizers) - {"Optimizer"}:
        assert root.OPTIMIZERS.get(name) is getattr(torch.optim, name)
    for name in ("Linear", "Conv2d", "TransformerEncoderLayer", "GELU", "CrossEntropyLoss"):
        assert root.MODELS.get(f"toolkit.{name}") is getattr(torch.nn, name)
    assert root.MODELS.get("Module") is None
    assert root.MODELS.get("functional") is None
    assert root.HOOKS.get("Linear") is None


def test_task_names_win_over_torch_ones():
    from toolkit.detection.registry import MODELS

    child = Registry("model", parent=root.MODELS, scope="scope_of_this_test")
    try:
        child.register_module("L1Loss", module=Dog)
        assert child.get("L1Loss") is Dog
        assert child.get("Linear") is torch.nn.Linear
        assert MODELS.get("Linear") is torch.nn.Linear
    finally:
        del root.MODELS.children["scope_of_this_test"]


def test_aliases_of_scopes():
    from toolkit.detection.registry import MODELS

    MODELS.register_module("DogOfThisTest", module=Dog)
    try:
        assert root.MODELS.get("mmdet.DogOfThisTest") is Dog
        assert root.MODELS.get("detection.DogOfThisTest") is Dog
        assert root.MODELS.get("mmdet.models.anything.DogOfThisTest") is Dog
        assert root.MODELS.get("mmpretrain.DogOfThisTest") is None
        assert root.OPTIMIZERS.get("mmengine.SGD") is torch.optim.SGD
        assert root.OPTIMIZERS.get("mmdet.SGD") is torch.optim.SGD
    finally:
        del MODELS.module_dict["DogOfThisTest"]


def test_importing_the_registry_imports_no_torch_and_finds_tasks_on_its_own():
    code = """
        import sys
        from toolkit.registry import MODELS, DATASETS
        assert "torch" not in sys.modules
        assert MODELS.search_scope("detection") is None
        MODELS.get("mmdet.Nothing")
        assert MODELS.search_scope("mmdet").scope == "detection"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_a_key_must_be_a_string(tree):
    with pytest.raises(TypeError, match="str"):
        tree[0].get(3)


def test_repr_lists_the_names(tree):
    tree[0].register_module(module=Dog)
    assert "Dog" in repr(tree[0])
    assert "'top'" in repr(tree[0])
