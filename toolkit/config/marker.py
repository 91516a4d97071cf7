"""The marker of inheritance by import: ``with read_base(): from .base import *``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def read_base() -> Iterator[None]:
    """Mark the imports in its block as the base configs of the file.

    The reader looks for it in the syntax tree. As a real context manager it does nothing, so that editors,
    linters and configs run as plain Python understand the file.
    """
    yield
