"""Checks, casts and cuts of lists and tuples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

T = TypeVar("T")


def is_str(x: Any) -> bool:
    """Whether `x` is a str."""
    return isinstance(x, str)


def is_seq_of(
    seq: Any, expected_type: type | tuple[type, ...], seq_type: type | tuple[type, ...] | None = None
) -> bool:
    """Whether `seq` is a sequence whose items are all of a type; an empty one is.

    Args:
        seq: Anything.
        expected_type: The type of the items, or several.
        seq_type: The type of the sequence itself, such as `list`; any sequence by default.
    """
    kind: Any = Sequence if seq_type is None else seq_type
    return isinstance(seq, kind) and all(isinstance(item, expected_type) for item in seq)


def is_list_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Whether `seq` is a list whose items are all of a type."""
    return is_seq_of(seq, expected_type, seq_type=list)


def is_tuple_of(seq: Any, expected_type: type | tuple[type, ...]) -> bool:
    """Whether `seq` is a tuple whose items are all of a type."""
    return is_seq_of(seq, expected_type, seq_type=tuple)


def iter_cast(
    inputs: Iterable[Any], dst_type: Callable[[Any], Any], return_type: Callable[..., Any] | None = None
) -> Any:
    """Each item of `inputs` turned into `dst_type`; an iterator, or a `return_type` where one is given.

    Raises:
        TypeError: `inputs` can't be iterated over, or `dst_type` is no type.
    """
    if not isinstance(inputs, Iterable):
        raise TypeError(f"iter_cast takes something to iterate over, got a {type(inputs).__name__}")
    if not isinstance(dst_type, type):
        raise TypeError(f"iter_cast takes a type to cast to, got {dst_type!r}")
    cast = map(dst_type, inputs)
    return cast if return_type is None else return_type(cast)


def list_cast(inputs: Iterable[Any], dst_type: Callable[[Any], T]) -> list[T]:
    """A list of the items of `inputs`, each turned into `dst_type`."""
    cast: list[T] = iter_cast(inputs, dst_type, list)
    return cast


def tuple_cast(inputs: Iterable[Any], dst_type: Callable[[Any], T]) -> tuple[T, ...]:
    """A tuple of the items of `inputs`, each turned into `dst_type`."""
    cast: tuple[T, ...] = iter_cast(inputs, dst_type, tuple)
    return cast


def slice_list(in_list: list[T], lens: int | list[int]) -> list[list[T]]:
    """Cut a list into consecutive pieces.

    Args:
        in_list: The list.
        lens: The length of every piece, or of each one in turn.

    Raises:
        TypeError: `lens` is neither an int nor a list.
        ValueError: The pieces don't add up to the list.
    """
    if isinstance(lens, int):
        if lens <= 0 or len(in_list) % lens:
            raise ValueError(f"a list of {len(in_list)} can't be cut into pieces of {lens}")
        lens = [lens] * (len(in_list) // lens)
    if not isinstance(lens, list):
        raise TypeError(f"lens is an int or a list of ints, got a {type(lens).__name__}")
    if sum(lens) != len(in_list):
        raise ValueError(f"pieces of {lens} make {sum(lens)} items, but the list has {len(in_list)}")
    items = iter(in_list)
    return [[next(items) for _ in range(length)] for length in lens]


def concat_list(in_list: Iterable[Iterable[T]]) -> list[T]:
    """One list of the items of all lists."""
    return list(chain.from_iterable(in_list))


def to_ntuple(n: int) -> Callable[[Any], Any]:
    """A function that makes a tuple of `n` equal items of one value, and leaves what has items as it is."""

    def to_tuple(x: Any) -> Any:
        return x if isinstance(x, Iterable) else (x,) * n

    return to_tuple


to_1tuple = to_ntuple(1)
to_2tuple = to_ntuple(2)
to_3tuple = to_ntuple(3)
to_4tuple = to_ntuple(4)


def apply_to(data: Any, expr: Callable[[Any], bool], apply_func: Callable[[Any], Any]) -> Any:
    """Apply a function to what `expr` picks out of nested dicts, lists and tuples; the rest stays.

    Containers keep their type, named tuples included.

    >>> apply_to({"a": [1, "x"]}, lambda x: isinstance(x, int), lambda x: x + 1)
    {'a': [2, 'x']}
    """
    if isinstance(data, dict):
        changed = type(data)()
        for key, value in data.items():
            changed[key] = apply_to(value, expr, apply_func)
        return changed
    if isinstance(data, (list, tuple)):
        items = [apply_to(item, expr, apply_func) for item in data]
        return type(data)(*items) if hasattr(data, "_fields") else type(data)(items)
    return apply_func(data) if expr(data) else data
