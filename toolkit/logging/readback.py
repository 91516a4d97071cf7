"""Reading numbers that still lie on a device, all in one go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PLAIN = {float, int, bool}
NUMBERS = {*_PLAIN, Tensor}
"""The usual types of what is logged."""


def read_back(columns: Mapping[str, list[Any]]) -> dict[str, list[float]]:
    """Plain numbers of scalars of any kind, with one transfer a device.

    A column is looked at as a whole where that is possible: this runs for every logged number of a run.

    Args:
        columns: Numbers, arrays of one element, or tensors of one element on any device, by their name.

    Returns:
        The numbers of each column in the same order.

    Raises:
        TypeError: A value is no number.
        ValueError: A value has more or fewer than one element.
    """
    read: dict[str, list[float]] = {}
    waiting: dict[torch.device, list[tuple[str, Tensor]]] = {}
    for name, column in columns.items():
        kinds = set(map(type, column))
        if kinds <= _PLAIN:
            read[name] = column
            continue
        stacked = _stack(column) if all(issubclass(kind, Tensor) for kind in kinds) else None
        if stacked is None:
            for value in column:
                check_scalar(name, value)
            stacked = _stack_mixed(column)
        waiting.setdefault(stacked.device, []).append((name, stacked))
    for device, parts in waiting.items():
        # MPS has no float64. Elsewhere it holds every float and all integers that are likely.
        wide = torch.float32 if device.type == "mps" else torch.float64
        numbers = torch.cat([part.to(wide) for _, part in parts]).tolist()
        start = 0
        for name, part in parts:
            read[name] = numbers[start : start + len(part)]
            start += len(part)
    return read


def check_scalar(name: str, value: Any) -> None:
    """Refuses what is not one number; `name` is named in the error."""
    if isinstance(value, (int, float, np.number, np.bool_)):
        return
    if not isinstance(value, (Tensor, np.ndarray)):
        raise TypeError(
            f"{name}: a number, or an array or tensor of one element, is logged; got {type(value).__name__}"
        )
    size = value.numel() if isinstance(value, Tensor) else value.size
    if size != 1:
        raise ValueError(f"{name}: one element is logged, got the shape {tuple(value.shape)}")


def _stack(column: list[Tensor]) -> Tensor | None:
    """The column as one tensor (N,), or None where its tensors are not all alike or not of one element."""
    try:
        stacked = torch.stack(column)
    except RuntimeError:
        return None
    return stacked.reshape(-1) if stacked.numel() == len(column) else None


def _stack_mixed(column: list[Any]) -> Tensor:
    device = next((value.device for value in column if isinstance(value, Tensor)), torch.device("cpu"))
    wide = torch.float32 if device.type == "mps" else torch.float64
    return torch.stack(
        [
            value.reshape(()).to(device, wide)
            if isinstance(value, Tensor)
            else torch.tensor(float(np.asarray(value).item()), dtype=wide, device=device)
            for value in column
        ]
    )
