"""Names of classes."""

from __future__ import annotations

import pytest

from toolkit.detection.datasets.class_lists import class_names


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("lvis_v0.5", 1230, "acorn", "zucchini"),
        ("lvis_v1", 1203, "aerosol_can", "zucchini"),
        ("objects365_v1", 365, "person", "flashlight"),
        ("objects365_v2", 365, "Person", "Table Tennis "),
    ],
)
def test_the_lists_are_whole_and_without_repetition(name, count, first, last):
    names = class_names(name)
    assert len(names) == len(set(names)) == count
    assert (names[0], names[-1]) == (first, last)
