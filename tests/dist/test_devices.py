"""Devices of nested data. The device 'meta' stands in for one that is not the CPU."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch

from toolkit.dist import cast_data_device, get_data_device

Pair = namedtuple("Pair", "a b")
ONE, FAR = torch.ones(2), torch.ones(2, device="meta")


@pytest.mark.parametrize(
    "data", [ONE, [ONE, ONE], (ONE, [ONE]), {"a": ONE, "b": {"c": (ONE,)}}, Pair(ONE, ONE)]
)
def test_structures_keep_their_types(data: Any) -> None:
    assert get_data_device(data) == torch.device("cpu")
    moved = cast_data_device(data, "meta")
    assert type(moved) is type(data)
    assert get_data_device(moved) == torch.device("meta")
    assert get_data_device(data) == torch.device("cpu")


def test_what_is_there_is_not_copied() -> None:
    assert cast_data_device(OrderedDict(a=ONE), torch.device("cpu"))["a"] is ONE


def test_out_is_overwritten() -> None:
    out = {"a": torch.zeros(2), "b": [torch.zeros(1)]}
    data = {"a": ONE, "b": [torch.full((1,), 3.0)]}
    cast_data_device(data, "cpu", out)
    assert out["a"].tolist() == [1, 1]
    assert out["b"][0].item() == 3


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="several devices: cpu, meta"):
        get_data_device([ONE, {"a": FAR}])
    for function in (get_data_device, lambda data: cast_data_device(data, "cpu")):
        with pytest.raises(ValueError, match="empty"):
            function([])
        for wrong in ("text", 3, [ONE, 3]):
            with pytest.raises(TypeError, match="sequence or a dict of tensors"):
                function(wrong)
    with pytest.raises(ValueError, match="of 1 items, data a list of 2"):
        cast_data_device([ONE, ONE], "cpu", [ONE])
    with pytest.raises(ValueError, match="where data holds a tensor"):
        cast_data_device([ONE], "cpu", [[ONE]])
