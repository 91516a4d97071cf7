"""Tests that fail where a metric isn't what it should be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toolkit.runner import Runner
from toolkit.runner.expectations import ResultsError, check_results
from toolkit.utils.errors import ConfigError

Make = Callable[..., Runner]


class Silent:
    def info(self, line: str) -> None:
        """Nothing is done."""


def test_a_test_within_the_tolerance_passes(make: Make) -> None:
    assert make(test_cfg={"expected_results": {"count": (5.4, 0.5)}}).test() == {"count": 5.0}


def test_a_test_outside_of_it_fails_and_says_by_how_much(make: Make) -> None:
    with pytest.raises(ResultsError, match=r"count is 5, expected 6 ± 0\.5"):
        make(test_cfg={"expected_results": {"count": (6, 0.5)}}).test()


def test_a_metric_that_is_not_there_is_an_error_with_the_nearest() -> None:
    with pytest.raises(ResultsError, match="did you mean 'coco/bbox_mAP'"):
        check_results({"coco/bbox_mAP": 0.4}, {"coco/bbox_map": (0.4, 0.1)}, Silent())


def test_what_is_no_number_fails() -> None:
    with pytest.raises(ResultsError):
        check_results({"a": float("nan")}, {"a": (0.4, 0.1)}, Silent())


def test_all_that_is_wrong_is_listed() -> None:
    with pytest.raises(ResultsError, match=r"(?s)a is 1.*b is 2"):
        check_results({"a": 1, "b": 2}, {"a": (2, 0), "b": (1, 0)}, Silent())


@pytest.mark.parametrize("pair", [0.4, (0.4,), ("0.4", 0.1), (0.4, -0.1)])
def test_an_expectation_is_a_value_and_a_tolerance(make: Make, pair: Any) -> None:
    with pytest.raises(ConfigError, match="a value and a tolerance"):
        make(test_cfg={"expected_results": {"count": pair}}).test()
