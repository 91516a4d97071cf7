"""Text from values: f-strings, ``%`` and ``str.format``, without reach into attributes and without bombs."""

from __future__ import annotations

import re
from collections.abc import Callable
from string import Formatter
from typing import Any

from toolkit.config.evaluator.limits import MAX_WIDTH, Budget, Refused

_NUMBER = re.compile(r"\d+")
_FIELD = re.compile(r"[^.\[\]]*")
_INDEX = re.compile(r"\[([^\[\]]+)\]")
_CONVERSIONS: dict[str, Callable[[Any], str]] = {"s": str, "r": repr, "a": ascii}
_SHORT = 400


def _check_widths(spec: str) -> None:
    if any(len(number) > 9 or int(number) > MAX_WIDTH for number in _NUMBER.findall(spec)):
        raise Refused(f"the format {spec!r} asks for more than {MAX_WIDTH:,} places")


def format_value(value: Any, spec: str, conversion: str | None, budget: Budget) -> str:
    """``f'{value!conversion:spec}'`` for one value."""
    _check_widths(spec)
    budget.weigh(value)
    if conversion:
        value = _CONVERSIONS[conversion](value)
    text = format(value, spec)
    budget.grow(len(text))
    return text


def percent_format(template: Any, values: Any, budget: Budget) -> Any:
    """``template % values``."""
    shown = template.decode("latin-1") if isinstance(template, bytes) else template
    for spec in re.findall(r"%(?:\([^)]*\))?([-#0 +]*[\d*]*(?:\.[\d*]*)?)", shown):
        if "*" in spec:
            raise Refused("a width given as '*' is not part of the config language")
        _check_widths(spec)
    budget.weigh(values)
    parts = (
        values.values() if isinstance(values, dict) else values if isinstance(values, tuple) else (values,)
    )
    longest = max((_text_size(part) for part in parts), default=0)
    budget.grow(len(template) + shown.count("%") * (longest + _SHORT))
    return template % values


def _text_size(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return len(repr(value))
    return _SHORT


def brace_format(template: str, args: tuple[Any, ...], kwargs: dict[str, Any], budget: Budget) -> str:
    """``template.format(*args, **kwargs)``, where a field may index its value but not read attributes."""
    return _Fields(args, kwargs, budget).fill(template, nested=False)


class _Fields:
    """The replacement fields of one call of `str.format`."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], budget: Budget) -> None:
        self._args = args
        self._kwargs = kwargs
        self._budget = budget
        self._next = 0

    def fill(self, template: str, *, nested: bool) -> str:
        parts: list[str] = []
        for literal, field, spec, conversion in Formatter().parse(template):
            parts.append(literal)
            if field is None:
                continue
            value = self._look_up(field)
            if spec and "{" in spec:
                if nested:
                    raise Refused("a format in the format of a format is not part of the config language")
                spec = self.fill(spec, nested=True)
            parts.append(format_value(value, spec or "", conversion, self._budget))
        return "".join(parts)

    def _look_up(self, field: str) -> Any:
        match = _FIELD.match(field)
        name = match[0] if match else ""
        if name == "":
            name, self._next = str(self._next), self._next + 1
        value: Any = self._args[int(name)] if name.isdigit() else self._kwargs[name]
        rest = field[match.end() if match else 0 :]
        while rest:
            index = _INDEX.match(rest)
            if index is None:
                raise Refused(f"the field {{{field}}} reads an attribute, which a format may not")
            if not isinstance(value, (list, tuple, dict, str)):
                raise TypeError(f"can't index {value!r}")
            container: Any = value
            value = container[int(index[1]) if index[1].isdigit() else index[1]]
            rest = rest[index.end() :]
        return value
