"""The checks for tests."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from toolkit import device, testing


def test_comparisons() -> None:
    have = {"a": 1, "t": torch.tensor([1, 2]), "n": np.arange(2)}
    assert testing.assert_dict_contains_subset(have, {"t": torch.tensor([1, 2]), "n": np.arange(2)})
    assert not testing.assert_dict_contains_subset(have, {"t": torch.tensor([1, 3])})
    assert not testing.assert_dict_contains_subset(have, {"b": 1})
    thing = SimpleNamespace(a=1, n=np.arange(2))
    assert testing.assert_attrs_equal(thing, {"a": 1, "n": np.arange(2)})
    assert not testing.assert_attrs_equal(thing, {"a": 2})
    assert not testing.assert_attrs_equal(thing, {"b": 2})
    assert testing.assert_dict_has_keys({"a": 1, "b": 2}, ["a"])
    assert not testing.assert_dict_has_keys({"a": 1}, ["a", "b"])
    assert testing.assert_keys_equal(["a", "b"], ["b", "a"])
    assert not testing.assert_keys_equal(["a"], ["a", "b"])


def test_layers() -> None:
    assert testing.assert_is_norm_layer(nn.GroupNorm(1, 1))
    assert not testing.assert_is_norm_layer(nn.Conv2d(1, 1, 1))
    layer = nn.Linear(2, 2)
    assert not testing.assert_params_all_zeros(layer)
    nn.init.zeros_(layer.weight)
    assert not testing.assert_params_all_zeros(layer)
    nn.init.zeros_(layer.bias)
    assert testing.assert_params_all_zeros(layer)


def test_closeness() -> None:
    testing.assert_allclose(torch.tensor([1.0, float("nan")]), [1.0 + 1e-7, float("nan")])
    testing.assert_allclose(torch.tensor([1.0]), torch.tensor([1.05], dtype=torch.float64), rtol=0.1, atol=0)
    with pytest.raises(AssertionError):
        testing.assert_allclose(torch.tensor([1.0]), torch.tensor([1.1]))


def test_a_script_runs_as_main(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).write_text(__name__)\n")
    before = sys.argv
    testing.check_python_script(f"python {script} {tmp_path / 'out'}")
    assert (tmp_path / "out").read_text() == "__main__"
    assert sys.argv is before


def test_the_device_at_hand() -> None:
    torch.empty(0, device=device.get_device())
    assert device.is_cuda_available() is torch.cuda.is_available()
    assert device.get_device().startswith("cuda") is device.is_cuda_available()
