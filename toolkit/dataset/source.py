"""Which dataset the sample that is being transformed comes from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_SOURCE: ContextVar[Any] = ContextVar("source", default=None)


@contextmanager
def preparing(dataset: Any) -> Iterator[None]:
    """Say that the transforms within run on a sample of this dataset."""
    token = _SOURCE.set(dataset)
    try:
        yield
    finally:
        _SOURCE.reset(token)


def current_source() -> Any:
    """The dataset whose sample is being transformed; None outside of `preparing`.

    It has `prepare_data(idx)`, `get_data_info(idx)` and a length, so that a transform that mixes samples can
    draw others by the index, and nothing need be kept from one sample to the next.
    """
    return _SOURCE.get()
