"""The builtins that a config may call. They are pure, and checked before they grow."""

from __future__ import annotations

import ast
import builtins
import copy
from collections.abc import Callable, Iterable
from typing import Any

from toolkit.config.config_dict import TracedDict
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator import operators
from toolkit.config.evaluator.limits import MAX_INT_BITS, Budget, Refused, check_int, refuse_import
from toolkit.config.lazy import LazyObject
from toolkit.config.origin import origins_in

_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_ITERABLE = (str, bytes, list, tuple, dict, set, frozenset, range, *_VIEWS)
_MAX_DIGITS = 1000


def iterate(value: Any) -> Iterable[Any]:
    """`value`, if it is one of the finite things a config can go through."""
    if not isinstance(value, _ITERABLE):
        refuse_import(value)
        raise TypeError(f"can't go through {value!r}")
    items: Any = value
    return items  # type: ignore[no-any-return]


def materialize(value: Any, budget: Budget) -> list[Any]:
    """The items of `value`, counted before they are listed."""
    iterate(value)
    try:
        count = len(value)
    except OverflowError:
        raise Refused("the range is too long") from None
    budget.items(count)
    return list(value)


def hashed(items: Iterable[Any], budget: Budget) -> None:
    """Count what hashing `items` visits."""
    for item in items:
        if isinstance(item, (tuple, frozenset)):
            budget.weigh(item)


def make_dict(args: list[Any], budget: Budget) -> TracedDict:
    """``dict(*args)``, with the origins of what it takes over."""
    if len(args) > 1:
        raise TypeError(f"dict expected at most 1 argument, got {len(args)}")
    made = TracedDict()
    for arg in args:
        if isinstance(arg, dict):
            budget.items(len(arg))
            dict.update(made, dict.items(arg))
            made.__origins__.update(origins_in(arg) or {})
        else:
            pairs: list[Any] = [materialize(pair, budget) for pair in materialize(arg, budget)]
            hashed((pair[0] for pair in pairs if pair), budget)
            dict.update(made, pairs)
    return made


def _list(budget: Budget, items: Any = ()) -> Any:
    if isinstance(items, ConfigList):
        budget.items(len(items))
        return items.copy()
    return ConfigList(materialize(items, budget))


def _tuple(budget: Budget, items: Any = ()) -> Any:
    return tuple(materialize(items, budget))


def _set(budget: Budget, items: Any = ()) -> Any:
    listed = materialize(items, budget)
    hashed(listed, budget)
    return set(listed)


def _sum(budget: Budget, items: Any, start: Any = 0) -> Any:
    if isinstance(start, (str, bytes)):
        raise TypeError("sum() can't sum strings; use ''.join(...)")
    for item in materialize(items, budget):
        budget.step()
        start = operators.binary(ast.Add, start, item, budget)
    return start


def key_function(function: Any, budget: Budget) -> Callable[[Any], Any] | None:
    if function is None:
        return None
    if not is_pure(function):
        raise Refused("key= takes one of the pure builtins")
    return lambda item: call(function, [item], {}, budget)


def _compared(args: tuple[Any, ...], budget: Budget) -> Any:
    """The one iterable, or the arguments, that min, max and sorted compare."""
    items = materialize(args[0], budget) if len(args) == 1 else list(args)
    for item in items:
        budget.step()
        budget.weigh(item)
    return items


def _min(budget: Budget, *args: Any, key: Any = None, **options: Any) -> Any:
    return min(_compared(args, budget), key=key_function(key, budget), **options)


def _max(budget: Budget, *args: Any, key: Any = None, **options: Any) -> Any:
    return max(_compared(args, budget), key=key_function(key, budget), **options)


def _sorted(budget: Budget, items: Any, *, key: Any = None, reverse: bool = False) -> Any:
    return ConfigList(sorted(_compared((items,), budget), key=key_function(key, budget), reverse=reverse))


def _round(budget: Budget, number: Any, ndigits: Any = None) -> Any:
    if isinstance(ndigits, int) and abs(ndigits) > _MAX_DIGITS:
        raise Refused(f"round() takes at most {_MAX_DIGITS} digits here")
    if not isinstance(number, (int, float)):
        raise TypeError(f"can't round {number!r}")
    return round(number, ndigits)


def _int(budget: Budget, *args: Any, **kwargs: Any) -> Any:
    if args and isinstance(args[0], (str, bytes)) and len(args[0]) > MAX_INT_BITS:
        raise Refused("the number is too long")
    return check_int(int(*args, **kwargs))


def _str(budget: Budget, *args: Any) -> Any:
    for arg in args:
        budget.weigh(arg)
    return str(*args)


def _zip(budget: Budget, *args: Any, strict: bool = False) -> Any:
    columns = [materialize(arg, budget) for arg in args]
    budget.items(len(columns) * min((len(column) for column in columns), default=0))
    return list(zip(*columns, strict=strict))


def _enumerate(budget: Budget, items: Any, start: int = 0) -> Any:
    return list(enumerate(materialize(items, budget), start))


def _reversed(budget: Budget, items: Any) -> Any:
    if isinstance(items, (set, frozenset)):
        raise TypeError("a set has no order to reverse")
    return materialize(items, budget)[::-1]


def _any(budget: Budget, items: Any) -> Any:
    return any(materialize(items, budget))


def _all(budget: Budget, items: Any) -> Any:
    return all(materialize(items, budget))


def _simple(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda budget, *args, **kwargs: function(*args, **kwargs)


_CALLS: dict[Any, Callable[..., Any]] = {
    dict: _simple(dict),  # reached as a key function only; calls of the name go to make_dict
    list: _list,
    tuple: _tuple,
    set: _set,
    range: _simple(range),
    len: _simple(len),
    sum: _sum,
    min: _min,
    max: _max,
    round: _round,
    int: _int,
    float: _simple(float),
    str: _str,
    bool: _simple(bool),
    enumerate: _enumerate,
    zip: _zip,
    sorted: _sorted,
    abs: _simple(abs),
    any: _any,
    all: _all,
    reversed: _reversed,
}


def _copy(budget: Budget, value: Any) -> Any:
    budget.weigh(value)
    return copy.copy(value)


def _deepcopy(budget: Budget, value: Any) -> Any:
    budget.weigh(value)
    return copy.deepcopy(value)


# Published configs import these to vary a pipeline. They run no code of the config's choosing.
_PURE_IMPORTS: dict[str, Callable[..., Any]] = {"copy.copy": _copy, "copy.deepcopy": _deepcopy}

BUILTINS: dict[str, Any] = {function.__name__: function for function in _CALLS}


def is_pure(function: Any) -> bool:
    """Whether `function` is one of the builtins, or of the few imports, that a config may call."""
    if isinstance(function, LazyObject):
        return function.dotted in _PURE_IMPORTS
    return getattr(function, "__module__", None) == builtins.__name__ and function in _CALLS


def call(function: Any, args: list[Any], kwargs: dict[str, Any], budget: Budget) -> Any:
    """``function(*args, **kwargs)`` for a pure function."""
    if isinstance(function, LazyObject):
        return _PURE_IMPORTS[function.dotted](budget, *args, **kwargs)
    return _CALLS[function](budget, *args, **kwargs)
