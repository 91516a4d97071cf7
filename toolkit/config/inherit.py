"""How a child config is merged into its bases."""

from __future__ import annotations

from typing import Any

from toolkit.config.config_dict import DELETE_KEY, ConfigDict, TracedDict, make_dict, put
from toolkit.config.config_list import ConfigList
from toolkit.config.evaluator.limits import MAX_DEPTH, Budget, Refused
from toolkit.config.origin import IN_CODE, Origin, origin_of, origins_in
from toolkit.utils.errors import ConfigError

SCOPE_KEY = "_scope_"


def settle(value: Any, budget: Budget) -> Any:
    """A deep copy of `value`, an evaluated config value, in which nothing is shared, as config containers.

    Raises:
        ConfigError: if it is nested too deep or too large.
    """
    try:
        return _settle(value, budget, 0)
    except Refused as error:
        raise ConfigError(f"the config is too large: {error}") from error


def _settle(value: Any, budget: Budget, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ConfigError(f"the config is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        budget.tree(value)
        origins = origins_in(value) or {}
        items = {key: _settle(item, budget, depth + 1) for key, item in dict.items(value)}
        return make_dict(items, {key: origins.get(key, IN_CODE) for key in items})
    if isinstance(value, list):
        budget.tree(value)
        known = origins_in(value)
        items_ = [_settle(item, budget, depth + 1) for item in value]
        return ConfigList(items_, list(known) if known else None)
    if type(value) is tuple:
        budget.tree(value)
        return tuple([_settle(item, budget, depth + 1) for item in value])
    if isinstance(value, (type({}.keys()), type({}.values()), type({}.items()))):
        return _settle(list(value), budget, depth)
    return value


def merge_into(target: ConfigDict, source: dict[Any, Any], *, lenient: bool = False) -> None:
    """Merge `source` into `target`, in place. `source` is used up.

    A dict is merged into the dict under the same key, unless it holds ``_delete_=True``; then it replaces
    it. A dict whose keys are all positions is merged into a list. Any other value replaces.

    Args:
        target: the merged bases.
        source: the child.
        lenient: whether a dict may replace a value that is no dict, instead of being an error.

    Raises:
        ConfigError: if a dict meets a value that it can't be merged into.
    """
    for key, value in dict.items(source):
        origin = origin_of(source, key) or IN_CODE
        # As in MMEngine, a `_delete_` that meets nothing stays where files are merged.
        deletes = (
            isinstance(value, dict) and (lenient or key in target) and dict.pop(value, DELETE_KEY, False)
        )
        if isinstance(value, dict) and key in target and not deletes:
            _merge_value(target, key, value, origin, lenient)
            continue
        put(target, key, value, origin)


def _merge_value(target: ConfigDict, key: Any, value: dict[Any, Any], origin: Origin, lenient: bool) -> None:
    present: Any = dict.__getitem__(target, key)
    if isinstance(present, dict):
        if not isinstance(present, ConfigDict):
            present = ConfigDict(present)
            dict.__setitem__(target, key, present)
        merge_into(present, value, lenient=lenient)
    elif isinstance(present, list) and value and all(_is_position(inner) for inner in value):
        if not isinstance(present, ConfigList):
            present = ConfigList(present)
            dict.__setitem__(target, key, present)
        _merge_items(present, value, str(key), lenient)
    elif lenient:
        put(target, key, value, origin)
        return
    else:
        there = origin_of(target, key)
        raise ConfigError(
            f"{origin}: {key!r} is a dict here, but {present!r} (a {type(present).__name__}) in the base "
            f"({there}), so the two can't be merged. Put {DELETE_KEY}=True into the dict to replace the "
            f"value of the base."
        )
    target.__origins__[key] = origin.replacing(target.__origins__.get(key))


def _is_position(key: Any) -> bool:
    return (isinstance(key, int) and not isinstance(key, bool)) or (isinstance(key, str) and key.isdigit())


def _merge_items(target: ConfigList, source: dict[Any, Any], name: str, lenient: bool) -> None:
    for key, value in dict.items(source):
        index, origin = int(key), origin_of(source, key) or IN_CODE
        if not -len(target) <= index < len(target):
            raise ConfigError(
                f"{origin}: {name!r} has no item {index}: it is a list of {len(target)} items in the base"
            )
        item = target[index]
        replaces = not isinstance(value, dict) or dict.pop(value, DELETE_KEY, False)
        if isinstance(item, ConfigDict) and not replaces:
            merge_into(item, value, lenient=lenient)
        else:
            list.__setitem__(target, index, value)
        target.__origins__[index] = origin.replacing(target.__origins__[index])


def add_scope(value: Any, scope: str) -> None:
    """Note `scope` as ``_scope_`` in the outermost dicts with a ``type`` in `value`."""
    if isinstance(value, dict):
        if "type" in value:
            if value.get(SCOPE_KEY) is None and isinstance(value, (ConfigDict, TracedDict)):
                put(value, SCOPE_KEY, scope, origins_in(value).get("type", IN_CODE))
            return
        value = list(dict.values(value))
    if isinstance(value, (list, tuple)):
        for item in value:
            add_scope(item, scope)


def check_duplicates(bases: ConfigDict, names: ConfigDict) -> None:
    """Refuse a key that two bases set.

    Raises:
        ConfigError: naming both places.
    """
    shared = [key for key in names if key in bases]
    if shared:
        key = shared[0]
        others = f" (and {', '.join(map(repr, shared[1:]))})" if len(shared) > 1 else ""
        raise ConfigError(
            f"{key!r}{others} is set by two of the bases: at {origin_of(bases, key)} and at "
            f"{origin_of(names, key)}. Bases listed side by side must not share keys; let one of them "
            f"inherit from the other, or set the key in the child only."
        )
