"""The operators of config expressions, checked before they grow."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from toolkit.config.config_dict import ConfigDict, TracedDict
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator.formatting import percent_format
from toolkit.config.evaluator.limits import MAX_INT_BITS, Budget, Refused, check_int, refuse_import
from toolkit.config.origin import origins_in

_SEQUENCES = (str, bytes, list, tuple)
_OPERANDS = (int, float, complex, str, bytes, list, tuple, dict, set, frozenset, range)


def _add(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, _SEQUENCES) and isinstance(right, _SEQUENCES):
        count = len(left) + len(right)
        budget.grow(count) if isinstance(left, (str, bytes)) else budget.items(count)
    return left + right


def _multiply(left: Any, right: Any, budget: Budget) -> Any:
    for sequence, times in ((left, right), (right, left)):
        if isinstance(sequence, _SEQUENCES) and isinstance(times, int):
            count = len(sequence) * max(int(times), 0)
            budget.grow(count) if isinstance(sequence, (str, bytes)) else budget.items(count)
    return left * right


def _power(base: Any, exponent: Any, budget: Budget) -> Any:
    if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * exponent > MAX_INT_BITS:
        raise Refused(f"the integer would have more than {MAX_INT_BITS:,} bits")
    return base**exponent


def _shift_left(value: Any, places: Any, budget: Budget) -> Any:
    if isinstance(value, int) and isinstance(places, int) and value.bit_length() + places > MAX_INT_BITS:
        raise Refused(f"the integer would have more than {MAX_INT_BITS:,} bits")
    return value << places


def _modulo(left: Any, right: Any, budget: Budget) -> Any:
    return percent_format(left, right, budget) if isinstance(left, (str, bytes)) else left % right


def _or(left: Any, right: Any, budget: Budget) -> Any:
    if isinstance(left, dict) and isinstance(right, dict):
        return _merge_dicts(left, right, budget)
    if isinstance(left, (set, frozenset)):
        budget.items(len(left) + len(right))
    return left | right


def _merge_dicts(left: dict[Any, Any], right: dict[Any, Any], budget: Budget) -> Any:
    budget.items(len(left) + len(right))
    if isinstance(left, ConfigDict) or isinstance(right, ConfigDict):
        return ConfigDict(left).__or__(right)
    return TracedDict({**left, **right}, {**(origins_in(left) or {}), **(origins_in(right) or {})})


def _plain(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Budget], Any]:
    return lambda left, right, budget: function(left, right)


_BINARY: dict[type[ast.operator], Callable[[Any, Any, Budget], Any]] = {
    ast.Add: _add,
    ast.Mult: _multiply,
    ast.Pow: _power,
    ast.LShift: _shift_left,
    ast.Mod: _modulo,
    ast.BitOr: _or,
    ast.Sub: _plain(operator.sub),
    ast.Div: _plain(operator.truediv),
    ast.FloorDiv: _plain(operator.floordiv),
    ast.RShift: _plain(operator.rshift),
    ast.BitAnd: _plain(operator.and_),
    ast.BitXor: _plain(operator.xor),
}

_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


def binary(kind: type[ast.operator], left: Any, right: Any, budget: Budget) -> Any:
    """``left <kind> right`` for the plain values of a config."""
    if kind not in _BINARY:
        raise Refused("this operator is not part of the config language")
    for operand in (left, right):
        if not isinstance(operand, _OPERANDS):
            refuse_import(operand)
            raise TypeError(f"can't calculate with {operand!r}")
    return check_int(_BINARY[kind](left, right, budget))


def in_place(kind: type[ast.operator], target: Any, value: Any, budget: Budget) -> Any:
    """``target <kind>= value``: lists, dicts and sets change in place, as they do in Python."""
    if kind is ast.Add and isinstance(target, ConfigList):
        if not isinstance(value, (list, tuple, str, dict, set, frozenset, range)):
            raise TypeError(f"can't extend a list by {value!r}")
        budget.items(len(target) + len(value))
        target.extend(list(value) if not isinstance(value, list) else value)
        return target
    if kind is ast.Mult and isinstance(target, ConfigList) and isinstance(value, int):
        budget.items(len(target) * max(int(value), 0))
        target *= value
        return target
    if kind is ast.BitOr and isinstance(target, TracedDict) and isinstance(value, dict):
        budget.items(len(target) + len(value))
        target.update(value)
        return target
    return binary(kind, target, value, budget)


def unary(kind: type[ast.unaryop], value: Any) -> Any:
    """``<kind> value``."""
    if kind is not ast.Not and not isinstance(value, (int, float, complex)):
        raise TypeError(f"bad operand {value!r}")
    return _UNARY[kind](value)


def compare(kind: type[ast.cmpop], left: Any, right: Any, budget: Budget) -> Any:
    """``left <kind> right``."""
    if kind not in (ast.Is, ast.IsNot):
        budget.weigh(left)
        budget.weigh(right)
    return _COMPARE[kind](left, right)
