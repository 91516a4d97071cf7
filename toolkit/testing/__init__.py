"""Checks for tests of your own code. Those that compare answer True or False, as MMEngine's do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.testing.compare import (
    assert_allclose,
    assert_attrs_equal,
    assert_dict_contains_subset,
    assert_dict_has_keys,
    assert_is_norm_layer,
    assert_keys_equal,
    assert_params_all_zeros,
    check_python_script,
)
from toolkit.testing.processes import run_processes

if TYPE_CHECKING:
    from toolkit.testing.runner_test_case import RunnerTestCase

__all__ = [
    "RunnerTestCase",
    "assert_allclose",
    "assert_attrs_equal",
    "assert_dict_contains_subset",
    "assert_dict_has_keys",
    "assert_is_norm_layer",
    "assert_keys_equal",
    "assert_params_all_zeros",
    "check_python_script",
    "run_processes",
]


def __getattr__(name: str) -> Any:
    # It needs the whole engine, the other checks do not.
    if name == "RunnerTestCase":
        from toolkit.testing.runner_test_case import RunnerTestCase

        return RunnerTestCase
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
