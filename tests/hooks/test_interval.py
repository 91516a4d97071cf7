from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.hooks import Interval
from toolkit.hooks.interval import checked_interval
from toolkit.utils import ConfigError

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


@pytest.mark.parametrize("interval", [0, -1, 1.5, True, "2", None])
def test_an_interval_that_means_nothing_is_refused(interval: object) -> None:
    with pytest.raises(ConfigError, match=r"Some: every is at least 1, got"):
        checked_interval("Some", interval, "every")


def test_never_is_negative() -> None:
    assert checked_interval("Some", -1, never=True) == -1
    with pytest.raises(ConfigError, match="at least 1, or -1 for never, got 0"):
        checked_interval("Some", 0, never=True)


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
