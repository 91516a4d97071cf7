"""The methods of strings, lists and dicts that a config may call, checked before they grow."""

from __future__ import annotations

from typing import Any

from toolkit.config.config_dict import ConfigDict
from toolkit.config.evaluator.formatting import brace_format
from toolkit.config.evaluator.limits import MAX_WIDTH, Budget, Refused
from toolkit.config.evaluator.pure_builtins import hashed, key_function, materialize
from toolkit.config.origin import Origin, origins_in


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STR = _words(
    "capitalize casefold center count endswith expandtabs find format index isalnum isalpha isascii "
    "isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower "
    "lstrip partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip "
    "split splitlines startswith strip swapcase title upper zfill"
)
_LIST = _words("append clear copy count extend index insert pop remove reverse sort")
_DICT = _words("clear copy get items keys pop popitem setdefault update values")
_CONFIG_DICT = _DICT | {"merge", "to_dict", "deepcopy"}
_TUPLE = frozenset({"count", "index"})
_SET = _words(
    "add clear copy difference discard intersection isdisjoint issubset issuperset pop remove "
    "symmetric_difference union update"
)
_GROWING = frozenset({"append", "extend", "insert", "setdefault", "update", "merge", "add", "union", "copy"})
_COMPARING = frozenset({"count", "index", "remove", "sort"})
_HASHING = frozenset({"get", "pop", "setdefault", "add", "discard"})
_CHANGING = frozenset({"append", "extend", "insert", "setdefault", "update", "merge"})


def allowed(receiver: Any) -> frozenset[str]:
    """The names of the methods that a config may call on `receiver`."""
    if isinstance(receiver, ConfigDict):
        return _CONFIG_DICT
    table = ((str, _STR), (list, _LIST), (dict, _DICT), (tuple, _TUPLE), (set, _SET))
    return next((names for kind, names in table if isinstance(receiver, kind)), frozenset())


def call_method(
    receiver: Any, name: str, args: list[Any], kwargs: dict[str, Any], budget: Budget, here: Origin
) -> Any:
    """``receiver.name(*args, **kwargs)``; what it puts into a container gets the origin `here`."""
    if isinstance(receiver, str):
        return _call_str(receiver, name, args, kwargs, budget)
    for arg in (*args, *kwargs.values()):
        if isinstance(arg, (str, list, tuple, dict, set, frozenset, range)) and name in _GROWING:
            materialize(arg, budget)
    if name in _GROWING:
        budget.items(len(receiver) if name == "copy" else 1)
    if name in _COMPARING:
        for value in (receiver, *args):
            budget.weigh(value)
    if name in _HASHING:
        hashed(args, budget)
    if name == "sort":
        kwargs = {**kwargs, "key": key_function(kwargs.get("key"), budget)}
    before = len(receiver)
    result = getattr(receiver, name)(*args, **kwargs)
    if name in _CHANGING:
        _relabel(receiver, _touched(receiver, name, before, args, kwargs), here)
    return result


def _touched(receiver: Any, name: str, before: int, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """The keys or positions under which a method has put something."""
    if name == "insert":
        place = args[0] if args[0] >= 0 else args[0] + before
        return [min(max(place, 0), before)]
    if isinstance(receiver, list):
        return list(range(before, len(receiver)))
    if name == "setdefault":
        return args[:1]
    keys = [key for arg in args for key in (arg if isinstance(arg, dict) else dict(arg))]
    return [key for key in (*keys, *kwargs) if key in receiver]


def _relabel(container: Any, keys: list[Any], here: Origin) -> None:
    """Give what code has just put into `container` the place of the statement that did so."""
    table = origins_in(container)
    for key in keys if table is not None else ():
        origin = table.get(key) if isinstance(table, dict) else table[key]
        if origin is None:
            table[key] = here
        elif origin.file is None and origin.option is None:
            table[key] = here.replacing(origin.over)


def _call_str(text: str, name: str, args: list[Any], kwargs: dict[str, Any], budget: Budget) -> Any:
    plain = str(text)
    if name == "format":
        return brace_format(plain, tuple(args), kwargs, budget)
    wide = any(isinstance(arg, int) and abs(arg) > MAX_WIDTH for arg in (*args, *kwargs.values()))
    if wide and name in {"center", "ljust", "rjust", "zfill", "expandtabs"}:
        raise Refused(f"str.{name} takes at most {MAX_WIDTH:,} places here")
    if name == "join":
        parts = materialize(args[0], budget) if args else []
        budget.grow(sum(len(part) + len(plain) for part in parts if isinstance(part, str)))
        return plain.join(parts)
    if name == "expandtabs":
        size = kwargs.get("tabsize", args[0] if args else 8)
        budget.grow(len(plain) + plain.count("\t") * max(size, 0))
    elif name == "replace" and len(args) > 1 and isinstance(args[0], str) and isinstance(args[1], str):
        budget.grow(len(plain) + (plain.count(args[0]) + 1) * len(args[1]))
    else:
        budget.grow(len(plain) * (16 if "split" in name else 1))
    return getattr(plain, name)(*args, **kwargs)
