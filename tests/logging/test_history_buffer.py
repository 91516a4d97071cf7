from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.logging import HistoryBuffer

values = st.lists(
    st.tuples(st.floats(-1e6, 1e6, allow_nan=False), st.integers(1, 9)), min_size=1, max_size=130
)


@given(entries=values, window=st.one_of(st.none(), st.integers(1, 50), st.integers(95, 105)))
@settings(deadline=None, max_examples=60)
def test_statistics_are_numpys(entries: list[tuple[float, int]], window: int | None) -> None:
    buffer = HistoryBuffer()
    for value, count in entries:
        buffer.update(value, count)
    tail = entries[-window:] if window else entries
    numbers, counts = np.array([value for value, _ in tail]), np.array([count for _, count in tail])
    assert buffer.mean(window) == pytest.approx(numbers.sum() / counts.sum(), rel=1e-12, abs=1e-9)
    assert buffer.max(window) == numbers.max()
    assert buffer.min(window) == numbers.min()
    assert buffer.current() == entries[-1][0]


@given(count=st.integers(0, 200), limit=st.integers(1, 30), group=st.integers(1, 7))
@settings(deadline=None, max_examples=40)
def test_only_the_newest_are_kept(count: int, limit: int, group: int) -> None:
    buffer = HistoryBuffer(max_length=limit)
    numbers = [float(number) for number in range(count)]
    for start in range(0, count, group):
        buffer.extend(numbers[start : start + group])
    assert buffer.data[0].tolist() == numbers[-limit:]
    assert len(buffer) == len(buffer.data[1]) == min(count, limit)


def test_initial_history_is_cut_to_length() -> None:
    assert HistoryBuffer([1, 2, 3], max_length=2).data[0].tolist() == [2, 3]


def test_data_is_a_copy() -> None:
    buffer = HistoryBuffer([1.0, 2.0])
    buffer.data[0][:] = 7
    buffer.update(3.0)  # an exported view would forbid to append
    assert buffer.data[0].tolist() == [1, 2, 3]


def test_registered_statistic() -> None:
    @HistoryBuffer.register_statistics
    def spread(buffer: HistoryBuffer, window_size: int) -> float:
        return buffer.max(window_size) - buffer.min(window_size)

    assert HistoryBuffer([5, 1, 4]).statistics("spread", window_size=2) == 3


def test_unknown_statistic_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="did you mean 'mean'"):
        HistoryBuffer([1]).statistics("maen")


def test_empty_history() -> None:
    assert np.isnan(HistoryBuffer().mean())
    with pytest.raises(ValueError, match="nothing was logged"):
        HistoryBuffer().current()


@pytest.mark.parametrize(("values", "counts", "length"), [([1, 2], [1], 10), ([1], [], 0)])
def test_bad_arguments(values: list[float], counts: list[int], length: int) -> None:
    with pytest.raises(ValueError):
        HistoryBuffer(values, counts, length)
