"""Where a config value comes from: a file and line, a command-line option, or code.

Origins live beside the values, in the containers that hold them: a `ConfigDict` keeps one for every key,
a `ConfigList` one for every item. Scalars and tuples have none of their own; they are known by their place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

ORIGINS = "__origins__"
# A loop may set a key any number of times; what it was long before helps nobody.
_LONGEST_HISTORY = 16


class Read(NamedTuple):
    """A variable that a value was computed from.

    Attributes:
        key: the dotted key of the variable, or of the part of it that was read.
        file: the file that had set it at that time.
        line: the line in that file.
    """

    key: str
    file: str | None
    line: int | None


NOTHING_READ: frozenset[Read] = frozenset()


def display_path(path: str) -> str:
    """`path` relative to the current directory where it lies in it, else as it is."""
    if not os.path.isabs(path):
        return path
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive on Windows
        return path
    return path if relative.startswith("..") else relative


class Origin:
    """The place that set a value.

    Attributes:
        file: the file that set it, or None where an option or code did.
        line: the line in that file, counted from 1.
        option: the dotted key of the command-line override that set it, or None.
        chain: the files from the one that was asked for down to `file`, along `_base_` or `read_base`.
        over: the origin of the value that this one replaced or was merged into.
        reads: the variables that the value was computed from.
        label: what to print for an origin that is neither a file nor an option.
    """

    __slots__ = ("chain", "file", "label", "line", "option", "over", "reads")

    def __init__(
        self,
        file: str | None = None,
        line: int | None = None,
        *,
        option: str | None = None,
        chain: tuple[str, ...] = (),
        over: Origin | None = None,
        reads: frozenset[Read] = NOTHING_READ,
        label: str = "set in code",
    ) -> None:
        self.file = file
        self.line = line
        self.option = option
        self.chain = chain
        self.over = over
        self.reads = reads
        self.label = label

    def __str__(self) -> str:
        if self.file is not None:
            place = display_path(self.file)
            return place if self.line is None else f"{place}:{self.line}"
        return "--cfg-options" if self.option is not None else self.label

    def __repr__(self) -> str:
        return f"Origin({self})"

    def _place(self) -> tuple[Any, ...]:
        return (self.file, self.line, self.option, self.label)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Origin):
            return NotImplemented
        return self._place() == other._place()

    def __hash__(self) -> int:
        return hash(self._place())

    def __getstate__(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in Origin.__slots__)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(Origin.__slots__, state, strict=True):
            setattr(self, name, value)

    def __copy__(self) -> Origin:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Origin:
        return self  # origins are never changed, so copies of a config share them

    def replacing(self, over: Origin | None) -> Origin:
        """This origin, with `over` noted as what it replaced."""
        if over is None or over is self:
            return self
        if over == self:  # set once more by the same place, which is no history; what it replaced is
            history = over.over if self.over is None else self.over.replacing(over.over)
            return self if history is self.over else self._with_over(history)
        if over.depth() >= _LONGEST_HISTORY:
            over = over.alone()
        return self._with_over(over)

    def depth(self) -> int:
        """How many origins stand in line behind this one."""
        depth, origin = 0, self.over
        while origin is not None:
            depth, origin = depth + 1, origin.over
        return depth

    def alone(self) -> Origin:
        """This origin without what it replaced."""
        return self._with_over(None)

    def _with_over(self, over: Origin | None) -> Origin:
        return Origin(
            self.file,
            self.line,
            option=self.option,
            chain=self.chain,
            over=over,
            reads=self.reads,
            label=self.label,
        )


IN_CODE = Origin()
"""The origin of a value that Python code set, not a file and not the command line."""


def origins_in(container: Any) -> Any:
    """The table of origins of a config container (by key or by position), or None for other things."""
    try:
        return object.__getattribute__(container, ORIGINS)
    except AttributeError:
        return None


def origin_of(container: Any, key: Any) -> Origin | None:
    """The origin of ``container[key]``.

    Args:
        container: a `Config`, a `ConfigDict` or a list of a config.
        key: a key, or a position in a list.

    Returns:
        The origin, or None where the container keeps none or has no such key.
    """
    table = origins_in(container)
    if table is None:
        inner = getattr(container, "_cfg_dict", None)
        table = origins_in(inner) if inner is not None else None
    if isinstance(table, Mapping):
        found = table.get(key)
    elif isinstance(table, list) and isinstance(key, int) and -len(table) <= key < len(table):
        found = table[key]
    else:
        return None
    return found if isinstance(found, Origin) else None


def read_in(names: Any, parts: tuple[str, ...]) -> Read | None:
    """A reading of the value under `parts`, as far as they lead; None where not even the first does."""
    container: Any = names
    origin: Origin | None = None
    taken: list[str] = []
    for part in parts:
        if isinstance(container, Mapping) and part in container:
            key: Any = part
        elif isinstance(container, (list, tuple)) and part.isdigit() and int(part) < len(container):
            key = int(part)
        else:
            break
        origin = origin_of(container, key) or origin
        container = container[key]
        taken.append(part)
    return Read(".".join(taken), origin.file, origin.line) if origin is not None else None
