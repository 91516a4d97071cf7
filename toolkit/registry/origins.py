"""What building needs of configs: origins of values for messages, and lazy references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.config import LazyObject, origin_of
from toolkit.registry.allowed import FOREIGN_PACKAGES, argument_refusal, find_dotted
from toolkit.registry.scope import SCOPE_ALIASES
from toolkit.utils import BuildError


def place_of(container: Any, key: Any) -> str:
    """Where a value of a config came from, as the start of a message: ``configs/x.py:12: ``.

    Args:
        container: A dict or list of a config; a plain one has no origins.
        key: The key or index.

    Returns:
        The origin, with ``: `` at the end; an empty string where none is known.
    """
    origin = origin_of(container, key)
    return f"{origin}: " if origin is not None else ""


def lazy_path(value: Any) -> str | None:
    """The dotted path of a lazy reference, or None where `value` is none."""
    return value.dotted if isinstance(value, LazyObject) else None


def resolve_lazy(value: Any) -> Any:
    """A value of a config with the lazy references in it (in lists, tuples and plain dicts) resolved.

    References inside dicts with a ``type`` are left for the registry that builds them.
    """
    path = lazy_path(value)
    if path is not None:
        return _resolve_argument(path)
    if isinstance(value, (list, tuple)) and any(map(_holds_lazy, value)):
        return type(value)(resolve_lazy(one) for one in value)
    if isinstance(value, Mapping) and "type" not in value and any(map(_holds_lazy, value.values())):
        return {key: resolve_lazy(one) for key, one in value.items()}
    return value


def _holds_lazy(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_lazy, value))
    if isinstance(value, Mapping):
        return "type" not in value and any(map(_holds_lazy, value.values()))
    return lazy_path(value) is not None


def _resolve_argument(path: str) -> Any:
    top = path.partition(".")[0]
    if top in SCOPE_ALIASES:
        raise BuildError(
            f"{path!r} is given as an argument; write its registered name, or its path in toolkit"
        )
    found = find_dotted(path)
    if found is None:
        raise BuildError(f"there is no {path!r}")
    reason = argument_refusal(found) if top in FOREIGN_PACKAGES else None
    if reason is not None:
        raise BuildError(f"{path!r} can't be given as an argument: it {reason}")
    return found
