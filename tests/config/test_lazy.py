"""LazyObject: a dotted name that is imported only when it is built."""

import collections
import copy
import os.path
import pickle
import sys

import pytest

from toolkit.config import Config, LazyObject
from toolkit.utils import ConfigError


def test_imports_of_a_config_import_nothing_and_stay_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wave", "colorsys"):  # whoever imported them before
        monkeypatch.delitem(sys.modules, name, raising=False)
    cfg = Config.fromstring(
        "import wave as w\nimport os.path\nfrom colorsys import rgb_to_hls as f\n"
        "a = dict(type=w.Error)\nb = os.path.join\nc = [f]\n",
        ".py",
    )
    assert list(cfg) == ["a", "b", "c"]
    assert "wave" not in sys.modules
    assert "colorsys" not in sys.modules
    assert cfg.a.type == LazyObject("wave.Error")
    assert cfg.b.dotted == "os.path.join"
    assert cfg.c[0].build()(0, 0, 0) == (0.0, 0.0, 0.0)


def test_build_finds_modules_classes_and_nested_attributes() -> None:
    assert LazyObject("collections", "OrderedDict").build() is collections.OrderedDict
    assert LazyObject("os.path").build() is os.path
    assert LazyObject("collections").OrderedDict.fromkeys.build()("a") == {"a": None}


def test_build_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="no attribute 'nope'"):
        LazyObject("collections.nope").build()
    with pytest.raises(ConfigError, match="no module named 'no_such_package_at_all'"):
        LazyObject("no_such_package_at_all.x").build()


def test_calling_it_is_an_error_with_its_place() -> None:
    with pytest.raises(ConfigError, match=r"x\.py:3"):
        LazyObject("a.b", None, "x.py:3")()


def test_copies_are_equal() -> None:
    lazy = LazyObject("a", "b", "x.py:3")
    for other in (copy.copy(lazy), copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert other == lazy
        assert other.location == "x.py:3"
    assert hash(lazy) == hash(LazyObject("a.b"))


def test_it_equals_what_it_stands_for_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LazyObject("collections.OrderedDict") == collections.OrderedDict
    assert LazyObject("os.path") == os.path
    assert LazyObject("collections.Counter") != collections.OrderedDict
    assert LazyObject("collections.nope") != None  # noqa: E711 - it is asked like that
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    another: object = ValueError
    assert LazyObject("wave.Error") != another
    assert "wave" not in sys.modules


def test_a_config_builds_what_it_is_asked_to() -> None:
    cfg = Config.fromstring("from collections import OrderedDict\na = dict(type=OrderedDict, b=1)\n", ".py")
    assert cfg.a.build_lazy(cfg.a.type) is collections.OrderedDict
    assert cfg.a.build_lazy(cfg.a.b) == 1
    assert cfg.to_dict() == {"a": {"type": "collections.OrderedDict", "b": 1}}
    assert cfg.to_dict(keep_imported=True)["OrderedDict"] == "collections.OrderedDict"
