"""The dict of a config: attribute access, origins, and no silent missing keys."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, SupportsIndex, TypeVar

from addict import Dict

from toolkit.config.config_list import ConfigList
from toolkit.config.lazy import LazyObject
from toolkit.config.origin import IN_CODE, ORIGINS, Origin, origins_in

DELETE_KEY = "_delete_"
_REQUIRED = object()
Self = TypeVar("Self", bound="ConfigDict")


class TracedDict(dict[Any, Any]):
    """A plain dict with origins: what `dict(...)` is while a config file is being read."""

    __slots__ = ("__origins__",)
    __origins__: dict[Any, Origin]

    def __init__(self, items: Any = (), origins: dict[Any, Origin] | None = None) -> None:
        super().__init__(items)
        self.__origins__ = origins if origins is not None else dict(origins_in(items) or {})

    def update(self, *args: Any, **kwargs: Any) -> None:
        added: dict[Any, Any] = {}
        origins: dict[Any, Origin] = {}
        for other in (*args, kwargs):
            added.update(dict.items(other) if isinstance(other, dict) else other)
            origins.update((isinstance(other, dict) and origins_in(other)) or {})
        super().update(added)
        self.__origins__.update({key: origins.get(key, IN_CODE) for key in added})

    def __ior__(self, other: Any) -> TracedDict:  # type: ignore[misc]
        self.update(other)
        return self

    def pop(self, *args: Any) -> Any:
        self.__origins__.pop(args[0], None)
        return super().pop(*args)

    def popitem(self) -> tuple[Any, Any]:
        key, value = super().popitem()
        self.__origins__.pop(key, None)
        return key, value

    def clear(self) -> None:
        super().clear()
        self.__origins__.clear()

    def copy(self) -> TracedDict:
        return TracedDict(self)

    __copy__ = copy


class _Missing(Exception):
    """Builds the message when it is printed: looking for near names is slow, and `hasattr` is common."""

    def __init__(self, key: Any, keys: Iterable[Any]) -> None:
        super().__init__(key)
        self._key = key
        self._keys = [str(known) for known in keys]

    def __str__(self) -> str:
        from toolkit.utils.suggest import did_you_mean

        known = ", ".join(repr(key) for key in self._keys[:20]) or "no key"
        return f"config has no key {self._key!r}{did_you_mean(str(self._key), self._keys)} (it has {known})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._key, self._keys)


class MissingKeyError(_Missing, KeyError):
    """A key that the config does not have; the message names the nearest one."""


class MissingAttributeError(_Missing, AttributeError):
    """An attribute that is no key of the config; the message names the nearest one."""


def wrap(value: Any) -> Any:
    """`value` with plain dicts and lists in it turned into `ConfigDict` and `ConfigList`, as copies."""
    kind = type(value)
    if kind is dict or kind is TracedDict or kind is OrderedDict:
        return ConfigDict(value)
    if kind is list:
        return ConfigList([wrap(item) for item in value])
    if kind is ConfigList:
        return ConfigList([wrap(item) for item in value], list(value.__origins__))
    if kind is tuple:
        return tuple([wrap(item) for item in value])
    return value


def to_plain(value: Any, *, dotted: bool = False) -> Any:
    """A deep copy of `value` made of builtin dicts, lists and tuples.

    Args:
        value: a config value.
        dotted: turn references into their dotted names.
    """
    if isinstance(value, dict):
        return {key: to_plain(item, dotted=dotted) for key, item in dict.items(value)}
    if isinstance(value, list):
        return [to_plain(item, dotted=dotted) for item in value]
    if type(value) is tuple:
        return tuple([to_plain(item, dotted=dotted) for item in value])
    return value.dotted if dotted and isinstance(value, LazyObject) else value


class ConfigDict(Dict):  # type: ignore[misc]  # addict has no types
    """A dict whose keys are attributes too, and whose values know where they were set.

    A missing key raises `KeyError`, or `AttributeError` when it was asked for as an attribute, and the
    message names the nearest key. Dicts and lists that are put in become `ConfigDict` and `ConfigList`.
    `update` merges nested dicts, as MMEngine's does; `merge` also obeys ``_delete_=True``.

    Example:
        >>> cfg = ConfigDict(model=dict(depth=50))
        >>> cfg.model.depth
        50
    """

    __origins__: dict[Any, Origin]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        object.__setattr__(self, ORIGINS, {})
        for arg in args:
            if not arg:
                continue
            if isinstance(arg, tuple) and len(arg) == 2 and not isinstance(arg[0], tuple):
                arg = (arg,)
            known = origins_in(arg) if isinstance(arg, dict) else None
            for key, value in dict.items(arg) if isinstance(arg, dict) else arg:
                self._put(key, wrap(value), (known or {}).get(key, IN_CODE))
        for key, value in kwargs.items():
            self._put(key, wrap(value), IN_CODE)

    def _put(self, key: Any, value: Any, origin: Origin) -> None:
        dict.__setitem__(self, key, value)
        self.__origins__[key] = origin

    def _code_origin(self, key: Any) -> Origin:
        return IN_CODE.replacing(self.__origins__.get(key))

    def __missing__(self, key: Any) -> Any:
        raise MissingKeyError(key, self)

    def __getattr__(self, name: str) -> Any:
        try:
            return dict.__getitem__(self, name)
        except KeyError:
            pass
        raise MissingAttributeError(name, self)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise AttributeError(f"{name!r} is a method of ConfigDict; set the key with cfg[{name!r}] = ...")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise MissingAttributeError(name, self)
        del self[name]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._put(key, wrap(value), self._code_origin(key))

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise MissingKeyError(key, self)
        dict.__delitem__(self, key)
        self.__origins__.pop(key, None)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return dict.get(self, key, default)

    def pop(self, key: Any, default: Any = _REQUIRED) -> Any:
        """Remove `key` and return its value, or `default` if it is given and the key is missing."""
        if key not in self and default is _REQUIRED:
            raise MissingKeyError(key, self)
        self.__origins__.pop(key, None)
        return dict.pop(self, key, default)

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the last key and its value."""
        last: tuple[Any, Any] = dict.popitem(self)
        self.__origins__.pop(last[0], None)
        return last

    def clear(self) -> None:
        """Remove all keys."""
        dict.clear(self)
        self.__origins__.clear()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """The value of `key`, which is set to `default` first where it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Merge another mapping: dicts under the same key are merged, other values replaced."""
        if len(args) > 1:
            raise TypeError("update takes at most one positional argument")
        for other in (*args, kwargs):
            items: dict[Any, Any] = other if isinstance(other, dict) else dict(other)
            known = origins_in(items) or {}
            for key, value in dict.items(items):
                mine = dict.get(self, key)
                origin = known.get(key, IN_CODE)
                if isinstance(mine, ConfigDict) and isinstance(value, dict):
                    mine.update(value)
                    self.__origins__[key] = origin.replacing(self.__origins__.get(key))
                else:
                    self._put(key, wrap(value), origin.replacing(self.__origins__.get(key)))

    def merge(self, other: dict[Any, Any]) -> None:
        """Merge `other` as a child config is merged into its base, but let dicts replace other values."""
        from toolkit.config.inherit import merge_into

        other = copy.deepcopy(other)
        if dict.pop(other, DELETE_KEY, False):
            self.clear()
        merge_into(self, other, lenient=True)

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        both = self.copy()
        both |= other
        return both

    def __ior__(self: Self, other: Any) -> Self:
        known = (origins_in(other) if isinstance(other, dict) else None) or {}
        for key, value in dict(other).items():
            self._put(key, wrap(value), known.get(key, IN_CODE).replacing(self.__origins__.get(key)))
        return self

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, dict):
            return NotImplemented
        both = type(self)(other)
        both |= self
        return both

    def copy(self: Self) -> Self:
        """A shallow copy, with the origins."""
        other = type(self)()
        dict.update(other, self)
        other.__origins__.update(self.__origins__)
        return other

    __copy__ = copy

    def deepcopy(self: Self) -> Self:
        """A deep copy, with the origins."""
        return copy.deepcopy(self)

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        other = type(self)()
        memo[id(self)] = other
        items: dict[Any, Any] = self
        for key, value in dict.items(items):
            dict.__setitem__(other, key, copy.deepcopy(value, memo))
        other.__origins__.update(self.__origins__)
        return other

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return _restore, (type(self), dict(dict.items(self)), dict(self.__origins__))

    def to_dict(self) -> dict[Any, Any]:
        """A deep copy made of builtin dicts, lists and tuples; references become their dotted names."""
        plain: dict[Any, Any] = to_plain(self, dotted=True)
        return plain

    def build_lazy(self, value: Any) -> Any:
        """What a reference stands for, imported if need be; any other value as it is.

        Raises:
            ConfigError: if it can't be imported.
        """
        return value.build() if isinstance(value, LazyObject) else value


def _restore(kind: type[Self], items: dict[Any, Any], origins: dict[Any, Origin]) -> Self:
    restored = kind()
    dict.update(restored, items)
    restored.__origins__.update(origins)
    return restored


def make_dict(items: dict[Any, Any], origins: dict[Any, Origin]) -> ConfigDict:
    """A `ConfigDict` of values that are config values already, with their origins."""
    return _restore(ConfigDict, items, origins)


def put(container: dict[Any, Any], key: Any, value: Any, origin: Origin) -> None:
    """Set ``container[key]`` of a dict, with its origin where the dict keeps origins."""
    table = origins_in(container)
    dict.__setitem__(container, key, wrap(value) if isinstance(container, ConfigDict) else value)
    if table is not None:
        table[key] = origin.replacing(table.get(key))
