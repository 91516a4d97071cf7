"""What every test starts from: no state that another one left in the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from toolkit.registry.scope import _CURRENT


@pytest.fixture(autouse=True)
def _no_default_scope() -> Iterator[None]:
    """A Runner sets its config's scope for the whole process; names in the next test mean what they say."""
    _CURRENT.set(None)
    yield
    _CURRENT.set(None)
