"""Dumps read back as the same config, and look like code that people write."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.config import Config, LazyObject
from toolkit.config.dump_data import to_json, to_yaml
from toolkit.utils import ConfigError

TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "1e-3",
        "yes",
        "null",
        "{{ $X:1 }}",
        "{{ fileBasename }}",
        "{{ _base_.a }}",
        "{{{",
        "'\"\\",
        "\n",
        "~",
        "a: b",
    ]
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXTS.filter(lambda t: "\ue000" not in t)
)
NAMES = st.sampled_from(["a", "b_1", "C", "class_", "dict", "list", "float"])
KEYS = NAMES | st.sampled_from(["not a name", "class", "", "ü-1"])


def trees(leaves: st.SearchStrategy[Any], *, tuples: bool = True) -> st.SearchStrategy[Any]:
    def grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        lists = st.lists(inner, max_size=4)
        grown = lists | st.dictionaries(KEYS, inner, max_size=4)
        return grown | lists.map(tuple) if tuples else grown

    return st.recursive(leaves, grow, max_leaves=12)


def same(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # tells 1 from 1.0 and True, and keeps the order of keys


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(NAMES.filter(lambda n: n not in ("dict", "float")), trees(PLAIN), max_size=4))
def test_python_round_trip(values: dict[str, Any]) -> None:
    cfg = Config(values)
    text = cfg.pretty_text
    again = Config.fromstring(text, ".py")
    assert same(again.to_dict(), cfg.to_dict())
    assert again.pretty_text == text, "stable"


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(KEYS, trees(PLAIN), max_size=4))
def test_yaml_round_trip(values: dict[str, Any]) -> None:
    cfg = Config(values)
    assert same(Config.fromstring(to_yaml(cfg._cfg_dict), ".yaml").to_dict(), cfg.to_dict())


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(KEYS, trees(PLAIN, tuples=False), max_size=4))
def test_json_round_trip(values: dict[str, Any]) -> None:
    cfg = Config(values)
    assert same(Config.fromstring(to_json(cfg._cfg_dict), ".json").to_dict(), cfg.to_dict())


@pytest.mark.parametrize(
    "source",
    [
        "x = float('nan')",
        "x = [float('inf'), -float('inf')]",
        "x = (1,)",
        "x = ()",
        "x = {1, 2}",
        "x = set()",
        "x = range(1, 5, 2)",
        "x = b'ab'",
        "x = {1: 2, (3, 4): 5, None: 6}",
        "x = 'it\\'s \"quoted\"'",
        "x = dict(type=float, f=len)",
        "x = {'a b': dict(c=1)}",
        "x = 1e-08",
        "dict = dict(a=dict(b=1))",
    ],
)
def test_python_round_trip_of_rare_values(source: str) -> None:
    cfg = Config.fromstring(source, ".py")
    assert repr(Config.fromstring(cfg.pretty_text, ".py").to_dict()) == repr(cfg.to_dict())


def test_layout() -> None:
    cfg = Config(
        dict(
            short=dict(type="A", n=[1, 2]),
            model=dict(
                type="Detector",
                backbone=dict(
                    type="ResNet", depth=50, out_indices=(0, 1, 2, 3), init_cfg=dict(type="Pretrained")
                ),
            ),
            pairs={
                "a-b": [
                    dict(type="LoadImageFromFile", to_float32=True),
                    dict(type="LoadAnnotations", box=True),
                ]
            },
        )
    )
    assert cfg.pretty_text == (
        "short = dict(type='A', n=[1, 2])\n"
        "model = dict(\n"
        "    type='Detector',\n"
        "    backbone=dict(\n"
        "        type='ResNet',\n"
        "        depth=50,\n"
        "        out_indices=(0, 1, 2, 3),\n"
        "        init_cfg=dict(type='Pretrained'),\n"
        "    ),\n"
        ")\n"
        "pairs = {\n"
        "    'a-b': [\n"
        "        dict(type='LoadImageFromFile', to_float32=True),\n"
        "        dict(type='LoadAnnotations', box=True),\n"
        "    ],\n"
        "}\n"
    )


def test_references_are_written_as_imports() -> None:
    imports = "from torch.optim import SGD\nimport torch.nn as nn\nfrom a import SGD as S2\n"
    source = imports + "a = [SGD, S2, nn.Conv2d, nn]\nSGD = 1"
    cfg = Config.fromstring(source, ".py")
    text = cfg.pretty_text
    assert "from torch.optim import SGD as SGD_" in text
    again = Config.fromstring(text, ".py")
    assert again.to_dict() == cfg.to_dict()
    assert again.a[2] == LazyObject("torch.nn.Conv2d")
    assert Config.fromstring(to_yaml(cfg._cfg_dict), ".yaml").a[0] == "torch.optim.SGD"


def test_files_and_formats(tmp_path: Path) -> None:
    cfg = Config(dict(a=dict(b=(1, 2)), c="x"))
    for extension, b in ((".py", (1, 2)), (".yaml", (1, 2)), (".yml", (1, 2)), (".json", [1, 2])):
        path = tmp_path / f"cfg{extension}"
        assert cfg.dump(path) is None
        again = Config.fromfile(path)
        assert again.to_dict() == {"a": {"b": b}, "c": "x"}
        assert again.dump() == path.read_text()
    with pytest.raises(ConfigError, match=r"'\.txt'"):
        cfg.dump(tmp_path / "cfg.txt")


def test_keys_that_are_no_names_need_a_data_format() -> None:
    cfg = Config({"my-key": 1})
    with pytest.raises(ConfigError, match=r"'my-key'.*\.yaml"):
        _ = cfg.pretty_text
    assert Config.fromstring(to_yaml(cfg._cfg_dict), ".yaml")["my-key"] == 1


def test_objects_are_shown_but_not_kept() -> None:
    class Thing:
        def __str__(self) -> str:
            return "<a thing>"

    assert Config(dict(x=Thing())).pretty_text == "x = '<a thing>'\n"
