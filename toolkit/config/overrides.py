"""Putting overrides into a config: into the variables while files are read, and into the result."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from toolkit.config.config_dict import ConfigDict, TracedDict, put, wrap
from toolkit.config.config_list import ConfigList
from toolkit.config.inherit import merge_into
from toolkit.config.origin import Origin, origin_of
from toolkit.config.own_values import BASE_KEY
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean, nearest


class Override:
    """One override: a dotted key and its value.

    Attributes:
        key: the dotted key as it was given.
        path: its parts.
        value: the value.
        origin: the origin that the value gets.
        met: whether any file set something under the key.
    """

    def __init__(self, key: str, value: Any, origin: Origin) -> None:
        self.key = key
        self.path = tuple(key.split("."))
        if not all(self.path):
            raise ConfigError(f"{origin}: {key!r} is no dotted key, such as model.backbone.depth")
        if self.path[0] == BASE_KEY:
            raise ConfigError(f"{origin}: {BASE_KEY} can't be overridden; write a config with other bases")
        self.value = value
        self.origin = origin
        self.met = False

    def fresh_value(self) -> Any:
        """A copy of the value of its own."""
        return wrap(value_copy(self.value))


def value_copy(value: Any) -> Any:
    """A copy of the containers of an override's value, which may be put into several places."""
    if isinstance(value, dict):
        return {key: value_copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [value_copy(item) for item in value]
    if type(value) is tuple:
        return tuple([value_copy(item) for item in value])
    return value


class Overrides:
    """The overrides of one reading.

    A variable's override is put in where a file assigns it, so that what is computed from the variable
    follows; and all are put into the result at the end, over whatever the files said.

    Args:
        values: the values by dotted key.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._all = [Override(key, value, Origin(option=key)) for key, value in values.items()]
        self._by_root: dict[str, list[Override]] = {}
        for override in self._all:
            self._by_root.setdefault(override.path[0], []).append(override)

    def has_root(self, name: str) -> bool:
        """Whether any override concerns the variable `name`."""
        return name in self._by_root

    def substitute(self, name: str, value: Any, origin: Origin) -> tuple[Any, Origin]:
        """What the variable `name` is to hold instead of `value`, and where that comes from.

        Overrides of parts that `value` does not have are left to other files.
        """
        holder = TracedDict({name: value}, {name: origin})
        for override in self._by_root.get(name, ()):
            if _applies(holder, override) and not _is_done(holder, override):
                override.met = override.met or _is_set(holder, override)
                assign(holder, override, create=False)
        return holder[name], holder.__origins__[name]

    def finish_known(self, names: ConfigDict) -> None:
        """Put those overrides into the merged config whose top-level key it has, once and for all.

        For a config that is about to be migrated: what is said in the words of the old schema has to be there
        before.

        Raises:
            ConfigError: for a key that leads nowhere.
        """
        known = [override for override in self._all if override.path[0] in names]
        for override in known:
            assign(names, override, create=True)
        self._all = [override for override in self._all if override not in known]

    def finish(self, names: ConfigDict) -> list[str]:
        """Put all overrides into the merged config.

        Returns:
            The keys that no file had set.

        Raises:
            ConfigError: for a key that leads nowhere.
        """
        for override in self._all:
            override.met = override.met or _is_set(names, override)
            assign(names, override, create=True)
        return [override.key for override in self._all if not override.met]


def merge_options(names: ConfigDict, options: Mapping[str, Any], *, allow_list_keys: bool = True) -> None:
    """Put dotted options into a config, creating what is missing, as MMEngine's ``merge_from_dict`` does."""
    for key, value in options.items():
        override = Override(key, value, Origin(label=f"set in code ({key}=...)"))
        assign(names, override, create=True, create_parents=True, positions=allow_list_keys)


def _position(container: list[Any] | tuple[Any, ...], part: str) -> int | None:
    return int(part) if part.isdigit() and int(part) < len(container) else None


def _key_in(container: dict[Any, Any], part: str) -> Any:
    """The key of `container` that `part` means: itself, or an integer key written so."""
    return int(part) if part not in container and part.isdigit() and int(part) in container else part


def step(container: Any, part: str) -> tuple[bool, Any, Any]:
    """Whether `container` has `part` of a dotted key, the key or position that it means, and the value."""
    if isinstance(container, dict):
        key = _key_in(container, part)
        return (True, key, dict.__getitem__(container, key)) if key in container else (False, key, None)
    if isinstance(container, (list, tuple)):
        place = _position(container, part)
        return (True, place, container[place]) if place is not None else (False, None, None)
    return False, None, None


def _applies(container: Any, override: Override) -> bool:
    """Whether everything but the last part of the key is there."""
    for part in override.path[:-1]:
        found, _, container = step(container, part)
        if not found:
            return False
    last = override.path[-1]
    return isinstance(container, dict) or step(container, last)[0]


def _current(container: Any, override: Override) -> tuple[bool, Origin | None]:
    """Whether there is a value under the key, and its origin."""
    for part in override.path[:-1]:
        found, _, container = step(container, part)
        if not found:
            return False, None
    found, key, _ = step(container, override.path[-1])
    return found, origin_of(container, key) if found else None


def _is_set(container: Any, override: Override) -> bool:
    """Whether something that is not this override's doing is under the key."""
    found, origin = _current(container, override)
    return found and origin != override.origin


def _is_done(container: Any, override: Override) -> bool:
    """Whether the override has been put in already."""
    found, origin = _current(container, override)
    return found and origin == override.origin


def assign(
    root: Any, override: Override, *, create: bool, create_parents: bool = False, positions: bool = True
) -> None:
    """Put the value of an override under its key.

    Args:
        root: the dict to put it in.
        override: the key and value.
        create: whether a missing key is an addition; without it the parents are known to be there.
        create_parents: whether missing parents are made even if a near name is there.
        positions: whether a number means the item of a list.

    Raises:
        ConfigError: if a parent is missing and another has nearly its name, or is of the wrong kind.
    """
    container, above = root, [root]
    for depth, part in enumerate(override.path[:-1]):
        found, key, value = step(container, part)
        if not found:
            value = _make_parent(container, part, override, depth, create_parents)
        elif not create and isinstance(container, (dict, list)):
            # The file may use the same dict or list elsewhere, where the override does not apply.
            value = _shallow_copy(value)
            if isinstance(container, dict):
                dict.__setitem__(container, key, value)
            else:
                list.__setitem__(container, key, value)
        above.append(value)
        container = value
    _set_last(above, override, positions)


def _shallow_copy(value: Any) -> Any:
    return copy.copy(value) if isinstance(value, (dict, list)) else value


def _make_parent(container: Any, part: str, override: Override, depth: int, create: bool) -> Any:
    where = ".".join(override.path[:depth])
    _check_kind(container, part, where, override)
    keys = [str(key) for key in container]
    if not create and nearest(part, keys) is not None:
        raise ConfigError(
            f"{override.origin} {override.key}: the config has no {'.'.join(override.path[: depth + 1])!r}"
            f"{did_you_mean(part, keys)}"
        )
    made = ConfigDict()
    put(container, part, made, override.origin)
    return dict.__getitem__(container, part)


def _check_kind(container: Any, part: str, where: str, override: Override) -> None:
    """Refuse to look for `part` in what can't have it."""
    if isinstance(container, dict):
        return
    if isinstance(container, (list, tuple)):
        kind = "list" if isinstance(container, list) else "tuple"
        valid = f"0 to {len(container) - 1}" if container else "none, it is empty"
        reason = f"{where!r} is a {kind}, and {part!r} is not one of its positions ({valid})"
    else:
        reason = f"{where!r} is {container!r}, which has no parts, so {part!r} can't be set in it"
    raise ConfigError(f"{override.origin} {override.key}: {reason}")


def _set_last(above: list[Any], override: Override, positions: bool) -> None:
    container, part = above[-1], override.path[-1]
    where = ".".join(override.path[:-1])
    if isinstance(container, dict):
        value = override.fresh_value()
        holder = TracedDict({_key_in(container, part): value}, {_key_in(container, part): override.origin})
        _merge(container, holder)
        return
    place = _position(container, part) if isinstance(container, (list, tuple)) and positions else None
    if place is None:
        _check_kind(container, part, where, override)
    if isinstance(container, tuple):
        items = ConfigList(container)
        _set_item(items, place or 0, override)
        _replace(above, override.path, tuple(items), override.origin)
    else:
        _set_item(container, place or 0, override)


def _merge(container: Any, holder: TracedDict) -> None:
    """Merge the one key of `holder` into a dict; what the file made is left as it is, for others to use."""
    if isinstance(container, ConfigDict):
        merge_into(container, holder)
        return
    for key, value in dict.items(holder):
        present = dict.get(container, key)
        put(container, key, _merged(present, value), holder.__origins__[key])


def _merged(present: Any, value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(present, dict):
        return value
    merged = ConfigDict(copy.deepcopy(present))
    merge_into(merged, value)
    return merged


def _set_item(items: list[Any], place: int, override: Override) -> None:
    list.__setitem__(items, place, _merged(items[place], override.fresh_value()))
    if isinstance(items, ConfigList):
        items.__origins__[place] = override.origin.replacing(items.__origins__[place])


def _replace(above: list[Any], path: Iterable[str], value: Any, origin: Origin) -> None:
    """Put a new tuple, which can't be changed in place, into what holds the old one."""
    parts = list(path)
    holder, part = above[-2], parts[-2]
    if isinstance(holder, dict):
        put(holder, _key_in(holder, part), value, origin)
    elif isinstance(holder, list):
        list.__setitem__(holder, int(part), value)
        if isinstance(holder, ConfigList):
            holder.__origins__[int(part)] = origin.replacing(holder.__origins__[int(part)])
    else:
        items = list(holder)
        items[int(part)] = value
        _replace(above[:-1], parts[:-1], tuple(items), origin)
