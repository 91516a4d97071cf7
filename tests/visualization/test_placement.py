from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.visualization.placement import place_label

FRAME = (320, 240)
boxes = st.tuples(st.floats(0, 300), st.floats(0, 220), st.floats(2, 200), st.floats(2, 200)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


def overlap(a: tuple, b: tuple) -> float:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


@given(st.lists(boxes, min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_labels_lie_in_the_picture(several: list[tuple]) -> None:
    taken: list[tuple] = []
    for box in several:
        rect = place_label(box, (60, 14), FRAME, taken)
        assert rect[0] >= 0
        assert rect[1] >= 0
        assert rect[2] <= FRAME[0] + 1e-9
        assert rect[3] <= FRAME[1] + 1e-9
        assert (rect[2] - rect[0], rect[3] - rect[1]) == pytest.approx((60, 14))
        taken.append(rect)


@given(box=boxes, count=st.integers(2, 4))
@settings(deadline=None, max_examples=60)
def test_labels_of_one_place_avoid_each_other(box: tuple, count: int) -> None:
    taken: list[tuple] = []
    for _ in range(count):
        rect = place_label(box, (50, 12), FRAME, taken)
        assert sum(overlap(rect, other) for other in taken) == 0
        taken.append(rect)


def test_first_choice_is_on_the_box() -> None:
    assert place_label((100, 100, 150, 150), (40, 12), FRAME, []) == (100, 88, 140, 100)


def test_label_larger_than_the_picture() -> None:
    assert place_label((0, 0, 5, 5), (400, 300), FRAME, [])[:2] == (0, 0)
