"""The evaluator gives what Python gives, for what it accepts."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.config import Config
from toolkit.utils import ConfigError


def value_of(source: str) -> Any:
    return Config.fromstring(f"x = {source}", ".py").x


EXPRESSIONS = [
    "1 + 2 * 3 ** 2 // 4 % 5 - -6",
    "(1 << 4 | 3) & ~1 ^ 8 >> 1",
    "1 if [] else 'no'",
    "1 < 2 <= 2 != 3 and not (4 in [5]) or 'a' not in 'b'",
    "None is None",
    "[x * y for x in range(3) for y in range(x) if x != 2]",
    "{x: [y for y in range(x)] for x in (1, 2)}",
    "sorted({x % 3 for x in range(10)})",
    "dict(a=1, **{'b': 2}, **dict(c=3))",
    "[*range(3), *(4, 5)]",
    "{**{'a': 1}, 'a': 2}",
    "(1, 2, 3)[-1], [1, 2, 3, 4][1:3], 'abc'[::-1]",
    "f'{3:03d}-{1/3:.2f}-{\"a\"!r}-{5:>{2+2}}'",
    "'%s-%03d %%' % ('a', 7)",
    "'%(a)s' % {'a': 1}",
    "'{} {1} {a[0]} {b:>{w}}'.replace('{1}', '{}').format(1, 2, a=[3], b=4, w=5)",
    "'a,b'.split(',') + ['-'.join(['x', 'y'])]",
    "'Ab'.lower().upper().title().zfill(5)",
    "sum([1, 2.5], 3), min(3, 1), max([1, 5]), len('abc'), round(2.567, 1), abs(-3)",
    "int('7'), int('ff', 16), float('1e-3'), str(1.5), bool([])",
    "list(enumerate('ab', 1)), list(zip([1, 2], 'ab')), list(reversed([1, 2]))",
    "any(x > 1 for x in [1, 2]), all([])",
    "sorted(['bb', 'a'], key=len, reverse=True)",
    "dict([('a', 1)], b=2)",
    "dict(zip('ab', range(2)))",
    "{'a': 1}.get('b', 3), list({'a': 1}.items()), {'a': 1} | {'b': 2}",
    "[[1, 2], [3]][0].index(2)",
    "sum([[1], [2]], [])",
    "'a' 'b' + \"c\" * 2",
    "1_000, 0x1F, 1e3, 2j, b'x', ...",
    "[1] * 2 + [3]",
    "tuple(x for x in 'ab')",
    "set([1, 2]) & {2, 3}",
    "range(1, 7, 2)",
    "[[j for j in range(i)] for i in range(3)]",
    "float('inf')",
]


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_equals_python(source: str) -> None:
    found, expected = value_of(source), eval(source)
    assert found == expected
    assert repr(found) == repr(expected)


NUMBERS = st.integers(-20, 20) | st.sampled_from([0.5, -1.25, 3.0])
LEAVES = (
    NUMBERS.map(repr) | st.booleans().map(repr) | st.none().map(repr) | st.text("ab{}'", max_size=3).map(repr)
)


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    tuples = st.lists(inner, max_size=3).map(lambda items: f"({''.join(item + ', ' for item in items)})")
    dicts = st.lists(
        st.tuples(st.sampled_from("abc"), inner), max_size=3, unique_by=lambda pair: pair[0]
    ).map(lambda pairs: f"dict({', '.join(f'{key}={item}' for key, item in pairs)})")
    operators = st.sampled_from(["+", "-", "*", "//", "%", "==", "<", "and", "or", "in", "&", "|"])
    binary = st.tuples(inner, operators, inner).map(lambda parts: f"({' '.join(parts)})")
    # Unbounded powers and shifts would hang Python itself.
    powers = st.tuples(inner, st.sampled_from(["** 2", "** -1", "<< 3", ">> 1"])).map(
        lambda parts: f"({' '.join(parts)})"
    )
    unary = st.tuples(st.sampled_from(["not ", "-", "~"]), inner).map(lambda parts: f"({parts[0]}{parts[1]})")
    chosen = st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})")
    comprehension = st.tuples(inner, inner).map(lambda p: f"[(y, {p[0]}) for y in {p[1]} if y]")
    item = st.tuples(inner, st.sampled_from(["0", "-1", "'a'", "1:", "::-1"])).map(
        lambda p: f"{p[0]}[{p[1]}]"
    )
    calls = st.tuples(
        st.sampled_from(["len", "str", "bool", "sorted", "tuple", "list", "sum", "min", "int", "abs", "any"]),
        inner,
    ).map(lambda p: f"{p[0]}({p[1]})")
    return lists | tuples | dicts | binary | powers | unary | chosen | comprehension | item | calls


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::hypothesis.errors.HypothesisWarning")
@settings(deadline=None, max_examples=400)
@given(st.recursive(LEAVES, compound, max_leaves=8))
def test_equals_python_on_generated_expressions(source: str) -> None:
    """Where Python has a value, the evaluator has the same; where Python fails, so does the evaluator."""
    try:
        expected = eval(source)
    except Exception:
        with pytest.raises(ConfigError):
            value_of(source)
        return
    if isinstance(expected, complex) or (isinstance(expected, float) and math.isnan(expected)):
        return
    found = value_of(source)
    assert found == expected
    assert repr(found) == repr(expected)


PROGRAMS = [
    "a, (b, *c) = 1, (2, 3, 4)",
    "a = b = [1]\nb.append(2)",
    "a = [1]\nfor i in range(3):\n    if i == 1:\n        continue\n    a.append(i)\nelse:\n    a += [9]",
    "a = 0\nfor i in [1, 2, 3]:\n    if i == 2:\n        break\n    a += i\nelse:\n    a = 99",
    "a = dict(x=dict(y=1))\na['x']['y'] += 4\na['z'] = a['x']\ndel a['x']",
    "a = list(range(5))\na[1:3] = [7]\ndel a[0]\na[-1] *= 3",
    "a: int = 3\nb: str\nif a > 2:\n    c = 1\nelif a:\n    c = 2\nelse:\n    c = 3",
    "a = {1}\na |= {2}\na.add(3)",
    "a = 'x'\na *= 3\na += 'y'\ndel a\nb = 1",
    "a = dict(k=[1])\nb = dict(a)\nb['k'].append(2)\nc = dict(a, k=3)",
    "a = {'x': 1}\na.update(y=2)\na.update({'z': 3})\nb = a.pop('x')\nc = a.setdefault('w', [])",
    "a = [3, 1, 2]\na.sort(key=abs)\na.insert(0, 5)\na.reverse()\nb = a.pop()",
    "'docstring'\npass\na = 1",
    "import copy\na = [dict(x=[1])]\nb = copy.deepcopy(a)\nb[0]['x'].append(2)\nc = copy.copy(a)\ndel copy",
    "from copy import deepcopy as d\na = dict(x=[1])\nb = d(a)\nb['x'] += [2]\ndel d",
]


@pytest.mark.parametrize("source", PROGRAMS)
def test_statements_equal_python(source: str) -> None:
    expected: dict[str, Any] = {}
    exec(source, expected)
    found = Config.fromstring(source, ".py")
    assert found.to_dict() == {key: value for key, value in expected.items() if not key.startswith("__")}


def test_a_script_part_is_left_out() -> None:
    text = "from models import build\na = 1\nif __name__ == '__main__':\n    model = build(a)"
    assert Config.fromstring(text, ".py").to_dict() == {"a": 1}


def test_values_of_a_file_are_not_shared_in_the_result() -> None:
    cfg = Config.fromstring("a = dict(x=1)\nb = dict(inner=a)\nc = [a, a]", ".py")
    cfg.a.x = 2
    cfg.c[0].x = 3
    assert cfg.b.inner.x == 1
    assert cfg.c[1].x == 1


def test_every_value_has_the_line_it_is_written_on() -> None:
    source = "\n".join(
        [
            "a = dict(",
            "    b=[",
            "        1,",
            "        dict(c='x'),",
            "    ],",
            "    d={'e': 2,",
            "       'f': 3},",
            "    **{'g':",
            "       4})",
            "a['h'] = 5",
            "a['b'].append(",
            "    6)",
            "a.update(i=7)",
            "s = [n",
            "     for n in range(2)]",
        ]
    )
    cfg = Config.fromstring(source, ".py")
    lines = {"a.b": 2, "a.b.0": 3, "a.b.1.c": 4, "a.d.e": 6, "a.d.f": 7, "a.g": 8, "a.h": 10}
    lines |= {"a.b.2": 11, "a.i": 13, "s": 14, "s.1": 14}
    assert {key: cfg.origin(key).line for key in lines} == lines  # type: ignore[union-attr]
