"""What a checkpoint may hold: plain containers and tensors, so that reading it runs no code."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

from toolkit.utils.errors import CheckpointError


def storable(value: Any, where: str = "checkpoint") -> Any:
    """The value in plain containers, with its tensors detached on the CPU.

    NumPy's numbers become Python's, its arrays tensors; subclasses of dict, list, str and so on become what
    they derive from.

    Args:
        value: Anything that is made of such things.
        where: What the value is called in the message.

    Raises:
        CheckpointError: Something in it is of another class, which only running code could bring back.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes, complex):
        return value
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    if isinstance(value, Mapping):
        return _mapping(value, where)
    if isinstance(value, list | tuple):
        items = [storable(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, set | frozenset):
        return {storable(item, where) for item in value}
    return _converted(value, where)


def _converted(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, np.ndarray):
        return storable(value.tolist(), where)
    if isinstance(value, enum.Enum):
        return storable(value.value, where)
    if isinstance(value, PurePath | torch.device):
        return str(value)
    plain: tuple[Callable[[Any], Any], ...] = (int, float, str, bytes)
    for base in plain:
        if isinstance(value, base):  # type: ignore[arg-type]
            return base(value)
    raise CheckpointError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which a checkpoint can't "
        "hold: only plain "
        "containers, numbers, strings and tensors come back without running code. Give it a "
        "state_dict() of those"
    )


def _mapping(value: Mapping[Any, Any], where: str) -> dict[Any, Any]:
    items = {storable(key, f"{where} key"): storable(item, f"{where}.{key}") for key, item in value.items()}
    if not isinstance(value, OrderedDict):
        return items
    ordered = OrderedDict(items)
    if hasattr(value, "_metadata"):  # which a state dict carries the versions of its modules in
        ordered._metadata = dict(value._metadata)  # type: ignore[attr-defined]
    return ordered


def _tensor(value: torch.Tensor) -> torch.Tensor:
    tensor = value.detach()
    if type(tensor) is not torch.Tensor:
        tensor = tensor.as_subclass(torch.Tensor)
    if tensor.device.type != "cpu":
        return tensor.cpu()
    # A slice would take the whole tensor that it was cut from into the file.
    if tensor.untyped_storage().nbytes() > 2 * tensor.numel() * tensor.element_size():
        return tensor.clone()
    return tensor
