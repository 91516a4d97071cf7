"""Comparisons of dicts, attributes, tensors and layers."""

from __future__ import annotations

import runpy
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from toolkit.utils.dl_utils import is_norm


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: Any = "",
) -> None:
    """Make sure that two tensors, or what becomes one, are close; types and devices may differ.

    Args:
        actual: What is.
        expected: What should be.
        rtol: Relative tolerance; that of the type by default. Goes with `atol`.
        atol: Absolute tolerance.
        equal_nan: Whether NaN equals NaN.
        msg: What the error says.

    Raises:
        AssertionError: They are not.
    """
    if not isinstance(actual, torch.Tensor):
        actual = torch.as_tensor(actual)
    if not isinstance(expected, torch.Tensor):
        expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=False,
        check_dtype=False,
        check_stride=False,
        msg=msg or None,
    )


def check_python_script(cmd: str) -> None:
    """Run a script in this process, as ``__main__``, so that coverage sees it.

    Args:
        cmd: Such as ``tools/hello.py --name x``; a leading ``python`` is skipped.
    """
    words = shlex.split(cmd)
    if words and words[0] == "python":
        words = words[1:]
    before, sys.argv = sys.argv, words
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        sys.argv = before


def _differ(one: Any, other: Any) -> bool:
    """Whether two values differ anywhere; arrays and tensors are compared item by item."""
    verdict = one != other
    try:
        return bool(verdict)
    except (ValueError, RuntimeError):  # an array of verdicts
        return bool(verdict.any())


def assert_dict_contains_subset(dict_obj: Mapping[Any, Any], expected_subset: Mapping[Any, Any]) -> bool:
    """Whether a dict has all items of another one."""
    return all(
        key in dict_obj and not _differ(dict_obj[key], value) for key, value in expected_subset.items()
    )


def assert_attrs_equal(obj: Any, expected_attrs: Mapping[str, Any]) -> bool:
    """Whether an object has all these attributes, with these values."""
    return all(
        hasattr(obj, name) and not _differ(getattr(obj, name), value)
        for name, value in expected_attrs.items()
    )


def assert_dict_has_keys(obj: Mapping[str, Any], expected_keys: Iterable[str]) -> bool:
    """Whether a dict has all these keys."""
    return set(expected_keys) <= set(obj)


def assert_keys_equal(result_keys: Iterable[str], target_keys: Iterable[str]) -> bool:
    """Whether the same keys are in both, in any order."""
    return set(result_keys) == set(target_keys)


def assert_is_norm_layer(module: nn.Module) -> bool:
    """Whether a layer is a batch, instance, group or layer norm."""
    return is_norm(module)


def assert_params_all_zeros(module: nn.Module) -> bool:
    """Whether the weight of a layer, and its bias where it has one, are zero."""
    params = (getattr(module, "weight", None), getattr(module, "bias", None))
    return all(not param.detach().any() for param in params if param is not None)
