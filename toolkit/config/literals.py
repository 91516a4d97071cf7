"""Python source for config values, on one line."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from toolkit.config.secrets import ENV_TYPES

_BETWEEN_BRACES = re.compile(r"(?<=\{)(?=\{)")


def is_argument_name(key: Any) -> bool:
    """Whether `key` can be a keyword of ``dict(...)``."""
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)


def string(text: str) -> str:
    """Source for a string that the reader gives back unchanged, even if it looks like a template."""
    # Two braces side by side would read as a template, so the literal is split between them.
    return " ".join(map(repr, _BETWEEN_BRACES.split(text))) if "{{" in text else repr(text)


def number(value: float) -> str:
    """Source for a float, also where it is not finite."""
    if math.isnan(value):
        return "float('nan')"
    if math.isinf(value):
        return "float('inf')" if value > 0 else "-float('inf')"
    return repr(float(value))


def scalar(value: Any, reference: Callable[[Any], str] | None = None) -> str:
    """Source for a value that is no container.

    Args:
        value: the value.
        reference: gives the source of things known by name (`LazyObject`, classes, functions).
    """
    if isinstance(value, ENV_TYPES):
        return value.source
    if value is None or isinstance(value, bool) or value is Ellipsis:
        return repr(value) if value is not Ellipsis else "..."
    if isinstance(value, str):
        return string(str(value))
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return number(value)
    if isinstance(value, (bytes, complex, range)):
        return repr(value)
    if reference is not None:
        return reference(value)
    return repr(str(value))


def inline(value: Any, reference: Callable[[Any], str] | None = None, *, braces: bool = False) -> str:
    """Source for `value` on one line.

    Args:
        value: the value.
        reference: gives the source of things known by name.
        braces: write dicts as ``{...}`` always, not as ``dict(...)``.
    """

    def items(values: Iterable[Any]) -> list[str]:
        return [inline(item, reference, braces=braces) for item in values]

    if isinstance(value, dict):
        shown = items(dict.values(value))
        if not braces and all(is_argument_name(key) for key in value):
            return f"dict({', '.join(f'{key}={item}' for key, item in zip(value, shown, strict=True))})"
        keys = items(dict.keys(value))
        return "{" + ", ".join(f"{key}: {item}" for key, item in zip(keys, shown, strict=True)) + "}"
    if isinstance(value, list):
        return f"[{', '.join(items(value))}]"
    if isinstance(value, tuple):
        shown = items(value)
        return f"({shown[0]},)" if len(shown) == 1 else f"({', '.join(shown)})"
    if isinstance(value, (set, frozenset)):
        shown = sorted(items(value))
        return "{" + ", ".join(shown) + "}" if shown else "set()"
    return scalar(value, reference)
