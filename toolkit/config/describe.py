"""Saying where a config value comes from, and how two configs differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolkit.config.config import Config
from toolkit.config.literals import inline
from toolkit.config.origin import Origin, display_path, origin_of

_LONGEST = 200


def _place(origin: Origin | None) -> str:
    if origin is None:
        return "unknown"
    if origin.option is not None and origin.file is None:
        return f"{origin} {origin.option}=..."
    return str(origin)


def _short(value: Any) -> str:
    shown = inline(value)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + " ..."


def explain(cfg: Config, key: str) -> str:
    """Say what is under a dotted key, where it was set, and what it replaced.

    Args:
        cfg: a config.
        key: a dotted key, such as ``model.backbone.depth`` or ``train_pipeline.2.scale``.

    Raises:
        ConfigError: if there is no such key.
    """
    value, origin = cfg.find(key)
    lines = [f"{key} = {_short(value)}", f"  set at {_place(origin)}"]
    if origin is not None:
        if len(origin.chain) > 1:
            lines.append(f"  read along {' -> '.join(display_path(path) for path in origin.chain)}")
        if origin.reads:
            shown = sorted(f"{read.key} ({Origin(read.file, read.line)})" for read in origin.reads)
            lines.append(f"  computed from {', '.join(shown)}")
        over = origin.over
        while over is not None:
            lines.append(f"  over what was set at {_place(over)}")
            over = over.over
    if isinstance(value, dict) and value:
        lines.append("  its keys:")
        lines += [f"    {name}: {_place(origin_of(value, name))}" for name in value]
    return "\n".join(lines)


class _Absent:
    """Stands for a value that one of two configs does not have."""


_ABSENT = _Absent()


def _differences(first: Any, second: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(first, dict) and isinstance(second, dict):
        for key in [*first, *(key for key in second if key not in first)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from _differences(dict.get(first, key, _ABSENT), dict.get(second, key, _ABSENT), inner)
    elif isinstance(first, (list, tuple)) and type(first) is type(second):
        for place in range(max(len(first), len(second))):
            left = first[place] if place < len(first) else _ABSENT
            right = second[place] if place < len(second) else _ABSENT
            yield from _differences(left, right, f"{path}.{place}")
    elif type(first) is not type(second) or inline(first) != inline(second):
        yield path, first, second


def diff(cfg_a: Config, cfg_b: Config, *, places: bool = True) -> str:
    """How two configs differ, a line or two for every dotted key that does.

    Args:
        cfg_a: the one, whose values stand behind ``-``.
        cfg_b: the other, whose values stand behind ``+``.
        places: say where each value was set.

    Returns:
        Lines with the values, and their places; an empty text if the configs are equal.
    """
    lines = []
    for path, first, second in _differences(cfg_a._cfg_dict, cfg_b._cfg_dict, ""):
        for sign, cfg, value in (("-", cfg_a, first), ("+", cfg_b, second)):
            if value is not _ABSENT:
                where = f"  ({_place(cfg.origin(path))})" if places else ""
                lines.append(f"{sign} {path} = {_short(value)}{where}")
    return "\n".join(lines)
