"""Configs as Python text that reads back as the same config."""

from __future__ import annotations

import inspect
from typing import Any

from toolkit.config.evaluator.pure_builtins import BUILTINS
from toolkit.config.lazy import LazyObject
from toolkit.config.literals import inline, is_argument_name
from toolkit.utils.errors import ConfigError

_WIDTH = 100
_INDENT = 4


class _References:
    """The imports that a dump needs for the things it names.

    Args:
        keys: the top-level keys, which an import must not shadow.
    """

    def __init__(self, keys: set[str]) -> None:
        self._keys = keys
        self._taken = {*keys, *BUILTINS}
        self._names: dict[str, str] = {}
        self.lines: list[str] = []

    def __call__(self, value: Any) -> str:
        dotted = _dotted(value)
        if dotted is None:
            return repr(str(value))
        if dotted not in self._names:
            self._names[dotted] = self._import(dotted)
        return self._names[dotted]

    def _import(self, dotted: str) -> str:
        module, _, name = dotted.rpartition(".")
        if module == "builtins" and name in BUILTINS and name not in self._keys:
            return name
        used = name
        while used in self._taken:
            used = f"{used}_"
        self._taken.add(used)
        alias = f" as {used}" if used != name else ""
        self.lines.append(f"from {module} import {name}{alias}" if module else f"import {name}{alias}")
        return used


def _dotted(value: Any) -> str | None:
    """The dotted name by which `value` can be imported, or None."""
    if isinstance(value, LazyObject):
        return value.dotted
    if inspect.ismodule(value):
        return value.__name__
    if inspect.isclass(value) or inspect.isroutine(value):
        module = getattr(value, "__module__", None)
        name = getattr(value, "__qualname__", "<locals>")
        if module and "<" not in name:
            return f"{module}.{name}"
    return None


def dotted_name(value: Any) -> str:
    """How a format without imports writes `value`: its dotted name, or its text."""
    return _dotted(value) or str(value)


def to_python(names: dict[Any, Any]) -> str:
    """Python text for a config, one assignment a key, in the order of the keys.

    Values from the environment are written as the references they came from. Things that have no literal
    and no importable name are written as their text.

    Args:
        names: the config.

    Raises:
        ConfigError: if a top-level key can't be a Python name.
    """
    for key in names:
        if not is_argument_name(key) or key.startswith("__"):
            raise ConfigError(
                f"the top-level key {key!r} can't be a variable, so the config can't be written as Python; "
                f"write it as .yaml or .json"
            )
    references = _References(set(names))
    layout = _Layout(references, braces="dict" in names)
    lines = [f"{key} = {layout.show(value, 0, len(key) + 3)}" for key, value in dict.items(names)]
    imports = [*sorted(references.lines), ""] if references.lines else []
    return "\n".join([*imports, *lines, ""])


class _Layout:
    """Lays values out over lines: on one where they fit, else an item a line."""

    def __init__(self, references: _References, *, braces: bool) -> None:
        self._references = references
        self._braces = braces

    def show(self, value: Any, indent: int, used: int) -> str:
        """Source for `value`, after `used` characters of a line that is indented by `indent`."""
        flat = inline(value, self._references, braces=self._braces)
        if indent + used + len(flat) <= _WIDTH or not isinstance(value, (dict, list, tuple)) or not value:
            return flat
        inner = indent + _INDENT
        opening, parts, closing = self._parts(value, inner)
        body = "".join(f"{' ' * inner}{part},\n" for part in parts)
        return f"{opening}\n{body}{' ' * indent}{closing}"

    def _parts(self, value: Any, indent: int) -> tuple[str, list[str], str]:
        if not isinstance(value, dict):
            opening, closing = ("[", "]") if isinstance(value, list) else ("(", ")")
            return opening, [self.show(item, indent, 1) for item in value], closing
        if not self._braces and all(is_argument_name(key) for key in value):
            parts = [f"{key}={self.show(item, indent, len(key) + 2)}" for key, item in dict.items(value)]
            return "dict(", parts, ")"
        parts = []
        for key, item in dict.items(value):
            shown = inline(key, self._references, braces=self._braces)
            parts.append(f"{shown}: {self.show(item, indent, len(shown) + 3)}")
        return "{", parts, "}"
