"""Where nested data lives, and moving it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def get_data_device(data: Any) -> torch.device:
    """The one device of a tensor, or of all tensors in a sequence or dict.

    Raises:
        ValueError: There is none in it, or they are on several.
        TypeError: It holds something else than tensors.
    """
    found = {tensor.device for tensor in _tensors(data)}
    if not found:
        raise ValueError("data is empty, so it is on no device")
    if len(found) > 1:
        raise ValueError(f"data is on several devices: {', '.join(sorted(map(str, found)))}")
    return found.pop()


def cast_data_device(data: Any, device: torch.device | str, out: Any = None) -> Any:
    """A tensor, or a sequence or dict of them, moved to a device.

    Args:
        data: What is there already isn't copied.
        device: A torch device.
        out: Something of the same structure whose tensors are overwritten too.

    Returns:
        Data of the same types.

    Raises:
        ValueError: `data` is empty, or `out` is of another structure.
        TypeError: `data` holds something else than tensors.
    """
    from torch import Tensor

    if isinstance(data, Tensor):
        moved = data.to(device)
        if out is not None:
            if not isinstance(out, Tensor):
                raise ValueError(f"out holds a {type(out).__name__} where data holds a tensor")
            out.copy_(moved)
        return moved
    _check(data)
    size = len(data)
    if size == 0:
        raise ValueError("data is empty")
    if out is not None and (type(out) is not type(data) or len(out) != size):
        raise ValueError(
            f"out is a {type(out).__name__} of {len(out)} items, data a {type(data).__name__} of {size}"
        )
    kind: Any = type(data)
    if isinstance(data, Mapping):
        return kind({key: cast_data_device(one, device, out and out[key]) for key, one in data.items()})
    places = [None] * size if out is None else list(out)
    moved_items = [cast_data_device(one, device, place) for one, place in zip(data, places, strict=True)]
    return kind(*moved_items) if hasattr(data, "_fields") else kind(moved_items)


def _tensors(data: Any) -> Iterable[torch.Tensor]:
    from torch import Tensor

    if isinstance(data, Tensor):
        yield data
        return
    _check(data)
    for item in data.values() if isinstance(data, Mapping) else data:
        yield from _tensors(item)


def _check(data: Any) -> None:
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable) or not hasattr(data, "__len__"):
        raise TypeError(f"data is a tensor, a sequence or a dict of tensors; got a {type(data).__name__}")
