"""How much work and memory one config may take.

A config that comes from elsewhere can't be allowed to hang or to fill the memory of whoever looks at it, so
every node that is evaluated is counted, and every growing operation is checked before it allocates.
"""

from __future__ import annotations

from typing import Any

from toolkit.config.lazy import LazyObject

MAX_STEPS = 1_000_000
MAX_BYTES = 16_000_000
MAX_TOTAL_BYTES = 256_000_000
MAX_INT_BITS = 14_000
MAX_WIDTH = 10_000
MAX_DEPTH = 100
_CONTAINER_STEPS = 10
_SLOT = 16


class Refused(Exception):
    """Something that a config may not do; `trusted=True` lifts it."""


class Budget:
    """What is left of the work and the memory that reading one config may take."""

    __slots__ = ("bytes_left", "steps_left")

    def __init__(self, steps: int = MAX_STEPS, total_bytes: int = MAX_TOTAL_BYTES) -> None:
        self.steps_left = steps
        self.bytes_left = total_bytes

    def step(self, count: int = 1) -> None:
        """Count `count` steps of work: one for each evaluated node."""
        self.steps_left -= count
        if self.steps_left < 0:
            raise Refused(f"reading the config takes more than {MAX_STEPS:,} steps")

    def grow(self, size: int) -> None:
        """Count `size` bytes about to be allocated."""
        if size > MAX_BYTES:
            raise Refused(f"the value would take more than {MAX_BYTES:,} bytes")
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise Refused(f"reading the config takes more than {MAX_TOTAL_BYTES:,} bytes")

    def items(self, count: int) -> None:
        """Count a container of `count` items about to be made."""
        self.grow(count * _SLOT)

    def tree(self, container: Any) -> None:
        """Count a container of the tree that a config becomes, in which nothing is shared any more."""
        self.step(_CONTAINER_STEPS + len(container))

    def weigh(self, value: Any) -> None:
        """Count the whole tree of `value`, as writing it out or comparing it would visit it.

        Shared parts count each time: a few lines can nest a list so that its text would fill the disk.
        """
        if not isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)):
            return
        size = 0
        stack = [value]
        while stack:
            item = stack.pop()
            if isinstance(item, (str, bytes)):
                size += len(item)
            elif isinstance(item, dict):
                stack.extend(dict.keys(item))
                stack.extend(dict.values(item))
            elif isinstance(item, (list, tuple, set, frozenset)):
                stack.extend(item)
            size += _SLOT
            # The stack holds at most one tree of references, so it is counted with what was visited.
            if size + len(stack) * _SLOT > MAX_BYTES:
                raise Refused(f"the value takes more than {MAX_BYTES:,} bytes when written out")
        self.grow(size)


def refuse_import(value: Any) -> None:
    """Refuse to work with what an import stands for: nothing of it is known before it is made."""
    if isinstance(value, LazyObject):
        raise Refused(f"{value.dotted} comes from an import, and nothing imported is looked into or run")


def check_int(value: Any) -> Any:
    """`value`, unless it is an integer of absurd size."""
    if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        raise Refused(f"the integer has more than {MAX_INT_BITS:,} bits")
    return value
