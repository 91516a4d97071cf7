from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.hooks import Interval

steps = st.integers(1, 40)


@given(every=st.integers(-1, 12), begin=st.integers(0, 20), last=st.booleans(), total=steps)
def test_steps_taken(every: int, begin: int, last: bool, total: int) -> None:
    taken = {done for done in range(1, total + 1) if Interval(every, True, begin, last).due(done, total)}
    expected = set(range(begin, total + 1, every)) - {0} if every > 0 else set()
    assert taken == (expected | {total} if last else expected)


@given(every=st.integers(1, 5), begin=st.integers(0, 5), length=st.integers(1, 7), epochs=steps)
def test_epochs_turned_into_iterations_are_the_ends_of_these_epochs(
    every: int, begin: int, length: int, epochs: int
) -> None:
    interval = Interval(every, by_epoch=True, begin=begin)
    by_iter = interval.in_iters(length)
    ends = [epoch * length for epoch in range(1, epochs + 1) if interval.due(epoch)]
    assert [step for step in range(1, epochs * length + 1) if by_iter.due(step)] == ends
    assert by_iter.in_iters(length) is by_iter


def test_units_are_kept_apart() -> None:
    runner = SimpleNamespace(epoch=1, iter=9, max_epochs=2, max_iters=20)
    assert Interval(2).after_epoch(runner)
    assert not Interval(2).after_iter(runner)
    assert Interval(5, by_epoch=False).after_iter(runner)
    assert not Interval(5, by_epoch=False).after_epoch(runner)
    assert Interval(-1, last=True).after_epoch(runner)


def test_negative_begin() -> None:
    with pytest.raises(ValueError, match="-1"):
        Interval(1, begin=-1)
