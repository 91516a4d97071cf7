"""Values that came from the environment, which remember how to write themselves as a reference.

A config may hold ``'{{ $TOKEN:none }}'``. What was read for it is used, but a dump must show the reference
and never the value. So such values are small subclasses of `str`, `int` and `float` that carry the Python
source they came from; whatever a config computes from them carries the computation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class EnvStr(str):
    """A string from the environment, or computed from one.

    Attributes:
        source: Python source, with templates, that gives the string again.
        template: the string with templates in the place of the values, where it can be written so.
    """

    source: str
    template: str | None

    def __new__(cls, value: str, source: str | None, template: str | None = None) -> EnvStr:
        made = super().__new__(cls, value)
        made.template = template
        made.source = source if source is not None else repr(template)
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.source, self.template


class EnvInt(int):
    """An integer from the environment, or computed from one; `source` gives it again."""

    source: str
    template: str | None

    def __new__(cls, value: int, source: str, template: str | None = None) -> EnvInt:
        made = super().__new__(cls, value)
        made.source, made.template = source, template
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return int(self), self.source, self.template


class EnvFloat(float):
    """A float from the environment, or computed from one; `source` gives it again."""

    source: str
    template: str | None

    def __new__(cls, value: float, source: str, template: str | None = None) -> EnvFloat:
        made = super().__new__(cls, value)
        made.source, made.template = source, template
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return float(self), self.source, self.template


ENV_TYPES = (EnvStr, EnvInt, EnvFloat)


def from_environment(value: Any, template: str) -> Any:
    """`value`, read in the place of `template` standing alone, marked as coming from the environment."""
    if isinstance(value, str):
        return EnvStr(value, None, template)
    return mark(value, template, template)


def mark(value: Any, source: str, template: str | None = None) -> Any:
    """`value` marked as what `source` gives. Booleans and None are no secrets and stay as they are."""
    kind = type(value)
    if kind is str:
        return EnvStr(value, source)
    if kind is int:
        return EnvInt(value, source, template)
    if kind is float:
        return EnvFloat(value, source, template)
    if isinstance(value, list):
        for index, item in enumerate(value):
            list.__setitem__(value, index, mark(item, f"{source}[{index}]"))
        return value
    if kind is tuple:
        return tuple([mark(item, f"{source}[{index}]") for index, item in enumerate(value)])
    if isinstance(value, dict):
        for key, item in value.items():
            dict.__setitem__(value, key, mark(item, f"{source}[{key!r}]"))
        return value
    return value


def is_marked(value: Any, depth: int = 8) -> bool:
    """Whether `value` is, or holds, something from the environment."""
    if isinstance(value, ENV_TYPES):
        return True
    if depth == 0:
        return False
    if isinstance(value, dict):
        return any(is_marked(item, depth - 1) for item in dict.values(value))
    if isinstance(value, (list, tuple, set)):
        return any(is_marked(item, depth - 1) for item in value)
    return False


def template_of(value: Any) -> str | None:
    """The text that stands for a string in a longer one, or None where it can't be written so."""
    if isinstance(value, EnvStr):
        return value.template
    if isinstance(value, (EnvInt, EnvFloat)):
        return value.template
    return value if isinstance(value, str) else None


def propagate(result: Any, operands: tuple[Any, ...], source: Callable[[], str]) -> Any:
    """`result`, marked with `source()` if any of `operands` is from the environment."""
    if isinstance(result, ENV_TYPES) or not any(is_marked(operand) for operand in operands):
        return result
    return mark(result, source())
