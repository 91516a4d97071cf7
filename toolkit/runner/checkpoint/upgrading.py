"""What the parts of a model do to the keys of an older checkpoint when it is loaded, without loading it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.model import is_model_wrapper

State = dict[str, Any]


def upgraded(module: nn.Module, state_dict: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """A state dict after all that the model's parts do to it before they take their weights.

    Parts rename keys of older versions, and compute weights that these hadn't, in `_load_from_state_dict` or
    in hooks before it. Their own weights are the same afterwards.

    Args:
        module: The model.
        state_dict: Weights by the keys that the model has without wrappers.
    """
    versions = getattr(state_dict, "_metadata", None)
    found: OrderedDict[str, Tensor] = OrderedDict(_visited(module, "", dict(state_dict), versions or {}))
    if versions is not None:
        found._metadata = versions  # type: ignore[attr-defined]
    return found


def without_old_averages(state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state dict without the buffers in which MMCV's EMA hooks kept the trained weights.

    Such a buffer is called `ema_` and the key of its weight with underscores for dots; the weight itself is
    the average.
    """
    names = {f"ema_{key.replace('.', '_')}" for key in state_dict if "." in key}
    if not any(key in names for key in state_dict):
        return state_dict
    kept = OrderedDict((key, value) for key, value in state_dict.items() if key not in names)
    if hasattr(state_dict, "_metadata"):
        kept._metadata = state_dict._metadata  # type: ignore[attr-defined]
    return kept


def _visited(part: nn.Module, prefix: str, state: State, versions: Mapping[str, Any]) -> State:
    if is_model_wrapper(part):
        inner = part.module
        assert isinstance(inner, nn.Module)
        return _visited(inner, prefix, state, versions)
    if _changes_keys(part):
        _apply(part, prefix, state, versions.get(prefix[:-1], {}))
    for name, child in part.named_children():
        if not any(_changes_keys(one) for one in child.modules()):
            continue
        start = f"{prefix}{name}."
        below = {key: state.pop(key) for key in list(state) if key.startswith(start)}
        state.update(_visited(child, start, below, versions))
    return state


def _changes_keys(part: nn.Module) -> bool:
    method = type(part)._load_from_state_dict
    return bool(part._load_state_dict_pre_hooks) or not method.__module__.startswith("torch.")


def _apply(part: nn.Module, prefix: str, state: State, version: Any) -> None:
    """Let a part load its own weights, note what it made of the keys, and undo the loading."""
    missing: list[str] = []
    with _kept(part):
        part._load_from_state_dict(state, prefix, version, True, missing, [], [])
        for name, value in _own(part).items():
            key = prefix + name
            if key not in state and key not in missing:  # computed from others
                state[key] = value.detach().clone()


def _own(part: nn.Module) -> dict[str, Tensor]:
    """The tensors of a part's state dict, without those of its children."""
    tensors = {**part._parameters, **part._buffers}
    return {
        name: value
        for name, value in tensors.items()
        if value is not None and name not in part._non_persistent_buffers_set
    }


@contextmanager
def _kept(part: nn.Module) -> Iterator[None]:
    before = {name: value.detach().clone() for name, value in _own(part).items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in _own(part).items():
                value.copy_(before[name])
