"""The list of a config, which knows the origin of each of its items."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

from toolkit.config.origin import IN_CODE, Origin, origins_in


def _origins_for(items: Any, count: int) -> list[Origin]:
    known = origins_in(items) if isinstance(items, list) else None
    return list(known) if known is not None and len(known) == count else [IN_CODE] * count


class ConfigList(list[Any]):
    """A list whose items know where they were set. Everything else is `list`.

    Args:
        items: the items.
        origins: one origin an item; without it they are taken from `items` if it is a `ConfigList`,
            and are "set in code" otherwise.
    """

    __slots__ = ("__origins__",)
    __origins__: list[Origin]

    def __init__(self, items: Iterable[Any] = (), origins: list[Origin] | None = None) -> None:
        super().__init__(items)
        self.__origins__ = origins if origins is not None else _origins_for(items, len(self))

    def append(self, item: Any) -> None:
        super().append(item)
        self.__origins__.append(IN_CODE)

    def extend(self, items: Iterable[Any]) -> None:
        added = items if isinstance(items, list) else list(items)
        origins = _origins_for(added, len(added))
        super().extend(added)
        self.__origins__.extend(origins)

    def insert(self, index: SupportsIndex, item: Any) -> None:
        super().insert(index, item)
        self.__origins__.insert(index, IN_CODE)

    def pop(self, index: SupportsIndex = -1) -> Any:
        item = super().pop(index)
        self.__origins__.pop(index)
        return item

    def remove(self, item: Any) -> None:
        del self[self.index(item)]

    def clear(self) -> None:
        super().clear()
        self.__origins__.clear()

    def reverse(self) -> None:
        super().reverse()
        self.__origins__.reverse()

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        pairs = list(zip(self, self.__origins__, strict=True))
        pairs.sort(key=lambda pair: pair[0] if key is None else key(pair[0]), reverse=reverse)
        super().__setitem__(slice(None), [item for item, _ in pairs])
        self.__origins__[:] = [origin for _, origin in pairs]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            value = value if isinstance(value, list) else list(value)
            origins = _origins_for(value, len(value))
            super().__setitem__(index, value)
            self.__origins__[index] = origins
        else:
            super().__setitem__(index, value)
            self.__origins__[index] = IN_CODE.replacing(self.__origins__[index])

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        super().__delitem__(index)
        del self.__origins__[index]

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return ConfigList(found, self.__origins__[index]) if isinstance(index, slice) else found

    def __add__(self, other: list[Any]) -> ConfigList:
        if not isinstance(other, list):
            return NotImplemented
        return ConfigList(list.__add__(self, other), self.__origins__ + _origins_for(other, len(other)))

    def __radd__(self, other: list[Any]) -> ConfigList:
        if not isinstance(other, list):
            return NotImplemented
        return ConfigList([*other, *self], _origins_for(other, len(other)) + self.__origins__)

    def __iadd__(self, other: Iterable[Any]) -> ConfigList:
        self.extend(other)
        return self

    def __mul__(self, times: SupportsIndex) -> ConfigList:
        return ConfigList(list.__mul__(self, times), self.__origins__ * times)

    __rmul__ = __mul__

    def __imul__(self, times: SupportsIndex) -> ConfigList:
        self[:] = self * times
        return self

    def copy(self) -> ConfigList:
        return ConfigList(self, list(self.__origins__))

    __copy__ = copy

    def __deepcopy__(self, memo: dict[int, Any]) -> ConfigList:
        other = ConfigList()
        memo[id(self)] = other
        list.extend(other, (copy.deepcopy(item, memo) for item in self))
        other.__origins__ = list(self.__origins__)
        return other

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return ConfigList, (list(self), list(self.__origins__))
