"""ConfigList behaves as list, and its origins move with its items."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.config import ConfigList, Origin

OPERATIONS: dict[str, Callable[[list[Any], int], Any]] = {
    "append": lambda x, n: x.append(n),
    "extend": lambda x, n: x.extend([n, n + 1]),
    "insert": lambda x, n: x.insert(n % (len(x) + 1), n),
    "pop": lambda x, n: x.pop(n % len(x)) if x else None,
    "remove": lambda x, n: x.remove(x[n % len(x)]) if x else None,
    "reverse": lambda x, n: x.reverse(),
    "sort": lambda x, n: x.sort(reverse=bool(n % 2)),
    "set": lambda x, n: x.__setitem__(n % len(x), n) if x else None,
    "set slice": lambda x, n: x.__setitem__(slice(0, 2), [n]),
    "delete": lambda x, n: x.__delitem__(n % len(x)) if x else None,
    "delete slice": lambda x, n: x.__delitem__(slice(0, 1)),
    "iadd": lambda x, n: x.__iadd__([n]),
    "imul": lambda x, n: x.__imul__(n % 3),
    "clear": lambda x, n: x.clear(),
}


def made(items: list[int]) -> ConfigList:
    return ConfigList(items, [Origin("f.py", item) for item in items])


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 9), max_size=6, unique=True),
    st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.integers(10, 19)), max_size=6),
)
def test_every_operation_does_what_list_does_and_origins_follow(
    items: list[int], operations: list[tuple[str, int]]
) -> None:
    plain, traced = list(items), made(items)
    for name, number in operations:
        OPERATIONS[name](plain, number)
        OPERATIONS[name](traced, number)
    assert traced == plain
    assert len(traced.__origins__) == len(plain)
    for item, origin in zip(traced, traced.__origins__, strict=True):
        # The first items have their own number as line; what the operations put in is 10 or more.
        assert origin.line == (item if item < 10 else None)


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), lambda x: x[:], ConfigList],
)
def test_copies_keep_origins(duplicate: Callable[[ConfigList], ConfigList]) -> None:
    other = duplicate(made([1, 2]))
    assert type(other) is ConfigList
    assert [origin.line for origin in other.__origins__] == [1, 2]
    other.append(3)
    assert len(other.__origins__) == 3


def test_concatenation_keeps_both_sides() -> None:
    both = made([1]) + made([2]) + [3]
    assert both == [1, 2, 3]
    assert [origin.line for origin in both.__origins__] == [1, 2, None]
    three = [3]
    assert [origin.line for origin in (three + made([1])).__origins__] == [None, 1]
    assert [origin.line for origin in (made([4]) * 2).__origins__] == [4, 4]
