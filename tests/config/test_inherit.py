"""The merge of a child into its base: its laws, and MMEngine's rules."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.config import Config, ConfigDict, origin_of
from toolkit.config.inherit import merge_into
from toolkit.utils import ConfigError

SCALARS = st.integers(0, 3) | st.sampled_from(["x", None, (1, 2)]) | st.lists(st.integers(0, 2), max_size=2)
LEAF_KEYS, DICT_KEYS = st.sampled_from("ab"), st.sampled_from("cd")
# The same key always holds the same kind, so that every two of these trees can be merged.
TREES = st.recursive(
    st.dictionaries(LEAF_KEYS, SCALARS, max_size=2),
    lambda inner: st.tuples(
        st.dictionaries(LEAF_KEYS, SCALARS, max_size=2), st.dictionaries(DICT_KEYS, inner, max_size=2)
    ).map(lambda parts: {**parts[0], **parts[1]}),
    max_leaves=6,
)


def merged(base: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    target = ConfigDict(copy.deepcopy(base))
    merge_into(target, copy.deepcopy(child))
    return target.to_dict()


def by_the_book(base: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """The rule of inheritance, written for its meaning."""
    result = dict(base)
    for key, value in child.items():
        if isinstance(value, dict) and key in base and not value.get("_delete_"):
            result[key] = by_the_book(base[key], value)
        elif isinstance(value, dict) and key in base:
            result[key] = {name: inner for name, inner in value.items() if name != "_delete_"}
        else:
            result[key] = value
    return result


@settings(deadline=None, max_examples=80)
@given(TREES, TREES, TREES)
def test_laws_of_merging(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    assert merged(a, b) == by_the_book(a, b)
    assert merged(merged(a, b), c) == merged(a, merged(b, c)), "associative"
    assert merged(a, a) == a, "idempotent"
    assert merged(merged(a, b), b) == merged(a, b), "a child has its way once and for all"
    assert merged(a, {}) == merged({}, a) == a, "the empty config is neutral"


@settings(deadline=None, max_examples=50)
@given(TREES, TREES)
def test_delete_replaces(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert merged({"k": a}, {"k": {**b, "_delete_": True}}) == {"k": b}


@settings(deadline=None, max_examples=50)
@given(TREES, TREES)
def test_every_value_keeps_an_origin(a: dict[str, Any], b: dict[str, Any]) -> None:
    target = Config.fromstring(f"t = {a!r}", ".py")._cfg_dict.t
    child = Config.fromstring(f"\nt = {b!r}", ".py")._cfg_dict.t
    merge_into(target, child)

    def check(container: dict[str, Any], mine: Any) -> None:
        for key, value in container.items():
            origin = origin_of(container, key)
            assert origin is not None
            assert origin.line == (2 if isinstance(mine, dict) and key in mine else 1)
            if isinstance(value, dict):
                check(value, mine.get(key) if isinstance(mine, dict) else None)

    check(target, b)


def test_delete_of_nothing_is_as_in_mmengine() -> None:
    assert merged({}, {"k": dict(_delete_=True, a=1)}) == {"k": {"_delete_": True, "a": 1}}
    cfg = ConfigDict()
    cfg.merge(dict(k=dict(_delete_=True, a=1)))
    assert cfg == {"k": {"a": 1}}


def test_items_of_lists_are_merged_by_position() -> None:
    base = {"p": [dict(a=1, b=1), 2, 3]}
    assert merged(base, {"p": {0: dict(a=5), "1": 6, -1: 7}}) == {"p": [dict(a=5, b=1), 6, 7]}
    assert merged(base, {"p": {0: dict(_delete_=True, c=1)}}) == {"p": [dict(c=1), 2, 3]}
    with pytest.raises(ConfigError, match=r"no item 3.*list of 3"):
        merged(base, {"p": {3: 1}})


def test_a_dict_does_not_silently_replace_a_list_or_a_scalar() -> None:
    for present in ([1], 1, None):
        with pytest.raises(ConfigError, match="_delete_"):
            merged({"k": present}, {"k": dict(a=1)})
        assert merged({"k": present}, {"k": dict(a=1, _delete_=True)}) == {"k": {"a": 1}}


def test_what_was_overwritten_is_remembered() -> None:
    target = Config.fromstring("a = 1", ".py")._cfg_dict
    merge_into(target, Config.fromstring("\na = 2", ".py")._cfg_dict)
    origin = origin_of(target, "a")
    assert origin is not None
    assert origin.line == 2
    assert origin.over is not None
    assert origin.over.line == 1
