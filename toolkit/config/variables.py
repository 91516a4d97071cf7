"""Finding variables that a child config redefines, while what its base computed from them stays as it was.

The classic: a base writes ``train_dataloader = dict(dataset=dict(pipeline=train_pipeline))`` and a child
sets a new ``train_pipeline`` only. As in MMEngine the dataloader keeps the old pipeline; a warning says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from toolkit.config.config_dict import ConfigDict, to_plain
from toolkit.config.origin import Origin, Read, origin_of, origins_in, read_in

# What the Runner reads. A value in one of these matters even if some other value was computed from it.
_RUNNER_KEYS = (
    "model work_dir train_dataloader val_dataloader test_dataloader train_cfg val_cfg test_cfg auto_scale_lr "
    "optim_wrapper param_scheduler val_evaluator test_evaluator default_hooks custom_hooks data_preprocessor "
    "load_from resume launcher env_cfg log_processor log_level visualizer default_scope randomness "
    "experiment_name tta_model tta_pipeline"
)
RUNNER_KEYS = frozenset(_RUNNER_KEYS.split())
_SHOWN = 3
_MISSING = object()
Path = tuple[Any, ...]


class ConfigWarning(UserWarning):
    """Something in a config that is allowed, but most likely not meant."""


@dataclass(frozen=True)
class _Dependent:
    """A value that a base computed from variables."""

    path: Path
    origin: Origin
    value: Any
    keys: frozenset[str]


class Snapshot:
    """What the values of the bases were, and which variables they were computed from.

    Taken before a child is evaluated, since the child may change what it inherits in place.
    """

    def __init__(self) -> None:
        self._dependents: list[_Dependent] = []
        self._variables: dict[str, Any] = {}

    def add(self, names: ConfigDict) -> None:
        """Add the values of one base."""
        for path, origin, value in _computed(names, ()):
            # A variable that was set anew after it was read is not what the value was computed from.
            keys = frozenset(read.key for read in origin.reads if _find_read(names, read) == read)
            if keys:
                self._dependents.append(_Dependent(path, origin, to_plain(value), keys))
            for key in keys:
                self._variables[key] = to_plain(_get(names, key))

    def warn_of_stale(self, merged: ConfigDict, redefined: Iterable[str]) -> None:
        """Warn of values in `merged` that are still computed from what the child has redefined.

        Args:
            merged: the child merged into its bases.
            redefined: the names that the child assigns.
        """
        names = set(redefined)
        for key, before in self._variables.items():
            root = key.partition(".")[0]
            if root not in names or _get(merged, key) in (_MISSING, before):
                continue
            stale = [d for d in self._reading(key) if self._matters(d, merged, frozenset({root}))]
            if stale:
                read = next(read for read in stale[0].origin.reads if read.key == key)
                here = read_in(merged, tuple(key.split(".")))
                warnings.warn(_message(read, here, stale), ConfigWarning, stacklevel=2)

    def _reading(self, key: str) -> list[_Dependent]:
        return [d for d in self._dependents if key in d.keys and d.path[0] != key.partition(".")[0]]

    def _matters(self, dependent: _Dependent, merged: ConfigDict, seen: frozenset[str]) -> bool:
        """Whether the value survives unchanged, and something that is used still holds it."""
        if not _survives(dependent, merged):
            return False
        root = dependent.path[0]
        users = [d for d in self._dependents if any(key.partition(".")[0] == root for key in d.keys)]
        if root in RUNNER_KEYS or not users or root in seen:
            return True
        return any(self._matters(user, merged, seen | {root}) for user in users)


def _find_read(names: ConfigDict, read: Read) -> Read | None:
    return read_in(names, tuple(read.key.split(".")))


def _get(names: ConfigDict, key: str) -> Any:
    """The value under a dotted key, in builtin containers; `_MISSING` where there is none."""
    value: Any = names
    for part in key.split("."):
        if isinstance(value, dict) and part in value:
            value = dict.__getitem__(value, part)
        elif isinstance(value, (list, tuple)) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return to_plain(value)


def _computed(container: Any, path: Path) -> Iterator[tuple[Path, Origin, Any]]:
    origins = origins_in(container)
    pairs = dict.items(container) if isinstance(container, dict) else enumerate(container)
    for key, value in pairs:
        origin = origins[key] if origins else None
        if origin is not None and origin.reads:
            yield (*path, key), origin, value
        if isinstance(value, (dict, list, tuple)):
            yield from _computed(value, (*path, key))


def _same(left: Any, right: Any) -> bool:
    return bool(to_plain(left) == right)


def _survives(dependent: _Dependent, merged: ConfigDict) -> bool:
    container: Any = merged
    for key in dependent.path[:-1]:
        if isinstance(container, dict):
            container = dict.get(container, key)
        elif isinstance(container, (list, tuple)) and key < len(container):
            container = container[key]
        else:
            return False
    key = dependent.path[-1]
    if isinstance(container, tuple):
        return key < len(container) and _same(container[key], dependent.value)
    origin = origin_of(container, key)
    return origin == dependent.origin and _same(container[key], dependent.value)


def _message(read: Read, here: Read | None, stale: list[_Dependent]) -> str:
    shown = [f"{'.'.join(map(str, d.path))} ({d.origin})" for d in stale[:_SHOWN]]
    more = f" and {len(stale) - _SHOWN} more" if len(stale) > _SHOWN else ""
    first = ".".join(map(str, stale[0].path))
    name = read.key
    return (
        f"{_place(here)}: {name!r} is redefined, but what was computed from the {name!r} of {_place(read)} "
        f"keeps the old value: {', '.join(shown)}{more}. Set {first} here too, or give {name} on the command "
        f"line ({name}=...), which reaches everything computed from it."
    )


def _place(read: Read | None) -> str:
    return "set in code" if read is None or read.file is None else str(Origin(read.file, read.line))
