"""A list of samples in one contiguous buffer."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


class PackedList(Sequence[Any]):
    """A read-only list whose items are packed into one byte buffer.

    Forked workers share the buffer's pages: reading an item touches no reference count inside it, whereas
    a list of dicts is copied page by page into every worker. The bytes are made and read by this process
    and its workers only, never from a file, so unpickling them runs nobody else's code.

    Args:
        items: The items; anything that pickles.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        packed = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
        self._ends = np.cumsum([len(piece) for piece in packed], dtype=np.int64)  # (N,)
        self._buffer = np.frombuffer(b"".join(packed), dtype=np.uint8)  # (total bytes,)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        """A fresh copy of one item; negative indices count from the end."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        size = len(self._ends)
        position = int(index)
        if position < 0:
            position += size
        if not 0 <= position < size:
            raise IndexError(f"index {index} is outside a list of {size}")
        start = int(self._ends[position - 1]) if position else 0
        return pickle.loads(self._buffer[start : int(self._ends[position])].data)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def select(self, indices: Sequence[int]) -> PackedList:
        """A list of the items at the given places."""
        return PackedList([self[i] for i in indices])

    @property
    def nbytes(self) -> int:
        """Size of the buffer in bytes."""
        return int(self._buffer.nbytes + self._ends.nbytes)
