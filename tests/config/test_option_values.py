"""The values of command-line options, as MMEngine's DictAction reads them."""

import argparse
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.config import DictAction, parse_overrides
from toolkit.config.option_values import parse_value
from toolkit.utils import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("1.5", 1.5),
        ("1e-3", 1e-3),
        ("True", True),
        ("false", False),
        ("None", None),
        ("abc", "abc"),
        ("", ""),
        ("/data/my coco/", "/data/my coco/"),
        ("a=b", "a=b"),
        ("'1'", "1"),
        ('"a b"', "a b"),
        ("1,2", [1, 2]),
        ("a,b,", ["a", "b"]),
        ("[1,2]", [1, 2]),
        ("[1, 2.5 , x]", [1, 2.5, "x"]),
        ("[]", []),
        ("()", ()),
        ("(1,)", (1,)),
        ("(3,4)", (3, 4)),
        ('"(3,4)"', (3, 4)),
        ("[(1,2),(3,4)]", [(1, 2), (3, 4)]),
        ("[(1,[2,None]),'a,b']", [(1, [2, None]), "a,b"]),
        ("(1,2),(3,4)", [(1, 2), (3, 4)]),
        ("[it's]", ["it's"]),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)


@settings(deadline=None, max_examples=100)
@given(
    st.recursive(
        st.integers()
        | st.booleans()
        | st.none()
        | st.floats(allow_nan=False)
        | st.sampled_from(["a", "b c", "x.y"]),
        lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
        max_leaves=8,
    ).filter(lambda value: isinstance(value, (list, tuple)))
)
def test_what_python_writes_is_read_back(value: Any) -> None:
    assert parse_value(repr(value)) == value


@pytest.mark.parametrize("text", ["[1", "(1]", "1)", "[(1,2]"])
def test_brackets_must_match(text: str) -> None:
    with pytest.raises(ConfigError, match="brackets"):
        parse_value(text)


def test_options() -> None:
    assert parse_overrides(["a.b=1", "c.0.d=[1,2]", "--e=x=y"]) == {"a.b": 1, "c.0.d": [1, 2], "e": "x=y"}
    for wrong in ("a", "=1"):
        with pytest.raises(ConfigError, match="KEY=VALUE"):
            parse_overrides([wrong])


def test_dict_action() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    parsed = parser.parse_args(["--cfg-options", "a=1", "b.c=x,y", "--cfg-options", "d=(1,2)", "a=2"])
    assert parsed.cfg_options == {"a": 2, "b.c": ["x", "y"], "d": (1, 2)}
    assert parser.parse_args([]).cfg_options is None
    with pytest.raises(argparse.ArgumentError, match="KEY=VALUE"):
        parser.parse_args(["--cfg-options", "nonsense"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("dict(type='A',x=1)", {"type": "A", "x": 1}),
        ("dict()", {}),
        (
            "[dict(type='A'),dict(type='B',y=[1,dict(z=2)])]",
            [{"type": "A"}, {"type": "B", "y": [1, {"z": 2}]}],
        ),
        ("{'x': 1, 'y': (2,3)}", {"x": 1, "y": (2, 3)}),
        ("[{'type':'A, B'}]", [{"type": "A, B"}]),
        ("{}", {}),
        ("{name}", "{name}"),
        ("dict", "dict"),
        ("dict(x=a=b)", {"x": "a=b"}),
    ],
)
def test_dicts(text: str, value: object) -> None:
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["dict(1)", "dict(x=1", "{'x': 1", "dict(=1)"])
def test_dicts_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_value(text)
