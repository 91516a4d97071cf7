"""Reading ``key=value`` options as MMEngine's command lines write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toolkit.utils.errors import ConfigError

_PAIRS = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "'\""


def parse_overrides(options: Iterable[str]) -> dict[str, Any]:
    """Read options such as ``a.b=1 c.0.d=[1,2] e="(3,4)" lr=1e-3 names=x,y``.

    Values are ints, floats, booleans (any case), ``None``, lists in brackets or separated by commas, tuples
    in parentheses, dicts as ``dict(type='A',x=1)`` or ``{'x': 1}``, nested at will, and strings otherwise. A
    quoted word is a string even if it looks like a
    number; quotes around a bracketed value are dropped.

    Args:
        options: one ``key=value`` an item; a leading ``--`` of the key is dropped.

    Returns:
        The values by dotted key, in their order.

    Raises:
        ConfigError: for an option without ``=`` or a key, or with brackets that don't match.
    """
    parsed: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        key = key.strip().removeprefix("--")
        if not equals or not key:
            raise ConfigError(f"{option!r} is no override; write KEY=VALUE, such as model.backbone.depth=101")
        parsed[key] = parse_value(value)
    return parsed


def parse_value(text: str) -> Any:
    """Read one value (see `parse_overrides`).

    Raises:
        ConfigError: if its brackets don't match.
    """
    text = text.strip()
    quoted = _unquote(text)
    if quoted is not None:
        inner = quoted.strip()
        return parse_value(inner) if inner[:1] in _PAIRS and inner[-1:] == _PAIRS[inner[0]] else quoted
    parts = _split(text)
    if text.startswith("dict(") and _encloses(text[4:]):
        return _pairs(text[5:-1], "=", text)
    if text[:1] == "{" and _encloses(text) and (not text[1:-1].strip() or ":" in text):
        return _pairs(text[1:-1], ":", text)
    if text[:1] in "([" and _encloses(text):
        items = [parse_value(part) for part in _split(text[1:-1])]
        return tuple(items) if text[0] == "(" else items
    return [parse_value(part) for part in parts] if len(parts) > 1 or text.endswith(",") else _scalar(text)


def _pairs(inside: str, sign: str, text: str) -> dict[str, Any]:
    """The dict whose items are written with `sign` between key and value."""
    found: dict[str, Any] = {}
    for item in _split(inside):
        key, middle, value = item.partition(sign)
        key = key.strip()
        name = _unquote(key) if sign == ":" and _unquote(key) is not None else key
        if not middle or not name:
            raise ConfigError(f"{item.strip()!r} in {text!r} is no KEY{sign}VALUE")
        found[name] = parse_value(value)
    return found


def _unquote(text: str) -> str | None:
    """The inside of a text that is one quoted word, or None."""
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0] and text[0] not in text[1:-1]:
        return text[1:-1]
    return None


def _encloses(text: str) -> bool:
    """Whether the first bracket of `text` is closed by its last character."""
    if text[:1] not in _PAIRS or text[-1:] != _PAIRS[text[0]]:
        return False
    depth = 0
    for place, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if depth == 0:
            return place == len(text) - 1
    return False


def _split(text: str) -> list[str]:
    """The parts of `text` between the commas that stand in no bracket and no quotes."""
    parts: list[str] = []
    stack: list[str] = []
    quote = ""
    start = 0
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in _QUOTES and text[:place].rstrip()[-1:] in ("", "(", "[", ",", "=", "{", ":"):
            quote = char
        elif char in _PAIRS:
            stack.append(_PAIRS[char])
        elif char in ")]}":
            if not stack or stack.pop() != char:
                raise ConfigError(f"the brackets of the value {text!r} don't match")
        elif char == "," and not stack:
            parts.append(text[start:place])
            start = place + 1
    if stack:
        raise ConfigError(f"the brackets of the value {text!r} don't match")
    if text[start:].strip() or not parts:
        parts.append(text[start:])
    return parts if text.strip() else []


def _scalar(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    lowered = text.lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    return None if text == "None" else text
