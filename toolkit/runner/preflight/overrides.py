"""Command-line overrides that created a key which nobody reads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from toolkit.config import origin_of
from toolkit.runner.preflight.problems import Problem
from toolkit.runner.preflight.rules import KNOWN_TOP_KEYS
from toolkit.utils import nearest

# Free-form settings whose owner refuses what it doesn't know: a dataset names the filters that it has.
SELF_CHECKED = ".filter_cfg"


def override_problems(
    cfg: Mapping[str, Any], new_keys: Iterable[str], closed: Collection[str]
) -> Iterator[Problem]:
    """Overrides that have no effect.

    Args:
        cfg: The config, overrides included.
        new_keys: Dotted keys that an override created, for no file has them.
        closed: Dotted paths of dicts whose keys have all been checked already.
    """
    for dotted in new_keys:
        parent_path, _, key = dotted.rpartition(".")
        if parent_path in closed or parent_path.endswith(SELF_CHECKED):
            continue
        top = dotted.partition(".")[0]
        if top not in KNOWN_TOP_KEYS and (not parent_path or _is_from_override(cfg, top)):
            yield _unread(dotted, top, [*KNOWN_TOP_KEYS, *map(str, cfg)])
            continue
        # Deeper down, a dict may be free-form settings: only what looks like a misspelling is refused.
        siblings = [str(one) for one in _at(cfg, parent_path) or () if str(one) != key]
        if parent_path and nearest(key, siblings) is not None:
            yield _unread(dotted, key, siblings)


def _unread(dotted: str, key: str, choices: Iterable[str]) -> Problem:
    near = nearest(key, [one for one in choices if one != key])
    if near is None:
        return Problem("nothing reads this key, and no file of the config has it", dotted)
    meant = dotted.replace(key, near, 1) if dotted.startswith(key) else dotted[: -len(key)] + near
    return Problem(f"nothing reads this key; did you mean {meant!r}?", dotted)


def _is_from_override(cfg: Mapping[str, Any], key: str) -> bool:
    origin = origin_of(cfg, key)
    return origin is None or origin.file is None


def _at(cfg: Any, path: str) -> Mapping[str, Any] | None:
    for part in path.split(".") if path else ():
        if isinstance(cfg, Mapping):
            cfg = cfg.get(part)
        elif isinstance(cfg, (list, tuple)) and part.lstrip("-").isdigit() and int(part) < len(cfg):
            cfg = cfg[int(part)]
        else:
            return None
    return cfg if isinstance(cfg, Mapping) else None
