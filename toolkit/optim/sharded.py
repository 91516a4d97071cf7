"""Optimizers of sharded parameters: clipping and scaling over all processes, and states cut as these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import Parameter
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from toolkit.dist import all_reduce, is_sharded, shard_like, whole


def holds_sharded(groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there are sharded parameters among those of parameter groups."""
    return any(is_sharded(param) for group in groups for param in group["params"])


def clip_grad_norm(
    params: Sequence[Parameter],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """`torch.nn.utils.clip_grad_norm_`, for parameters of which all, some or none are sharded.

    Returns:
        The norm of the whole gradients before clipping, 0-dimensional, the same on every process.
    """
    parts = _parted(params)
    grads = [[param.grad for param in part if param.grad is not None] for part in parts]
    norms = [whole(get_total_norm(part, norm_type, foreach=foreach)) for part in grads]
    total = get_total_norm([norm.to(norms[0].device) for norm in norms], norm_type, error_if_nonfinite)
    for part in parts:
        clip_grads_with_norm_(part, max_norm, total, foreach)
    return total


def clip_grad_value(params: Sequence[Parameter], clip_value: float, foreach: bool | None = None) -> None:
    """`torch.nn.utils.clip_grad_value_`, for parameters of which all, some or none are sharded."""
    for part in _parted(params):
        clip_grad_value_(part, clip_value, foreach)


def _parted(params: Sequence[Parameter]) -> list[Sequence[Parameter]]:
    """The sharded ones and the others, which torch's functions don't take together."""
    sharded = [param for param in params if is_sharded(param.grad)]
    if len(sharded) in (0, len(params)):
        return [params]
    return [sharded, [param for param in params if not is_sharded(param.grad)]]


class ShardedScaler(torch.amp.GradScaler):
    """`torch.amp.GradScaler`, for parameters of which all or some are sharded.

    Each process unscales its own parts, and all skip a step where a gradient overflowed on one.
    """

    def _unscale_grads_(self, optimizer: Any, *args: Any) -> dict[torch.device, Tensor]:
        params = [_own_part(param) for group in optimizer.param_groups for param in group["params"]]
        parts: Any = SimpleNamespace(param_groups=[{"params": params}])
        found = super()._unscale_grads_(parts, *args)
        for overflowed in found.values():
            all_reduce(overflowed, "max")
        return found


def _own_part(param: Any) -> Tensor:
    """A parameter's part on this process, with its gradient."""
    if not is_sharded(param):
        return param  # type: ignore[no-any-return]
    part: Tensor = param.to_local().detach()
    part.grad = None if param.grad is None else param.grad.to_local()
    return part


def resharded(state: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """An optimizer's state dict, whose tensors are whole, with those of sharded parameters cut as these are.

    Args:
        state: A state dict of `torch.optim.Optimizer`. It is not changed.
        groups: The optimizer's parameter groups.
    """
    params = [param for group in groups for param in group["params"]]
    saved = [key for group in state.get("param_groups", ()) for key in group["params"]]
    if not holds_sharded(groups) or len(saved) != len(params):
        return dict(state)  # torch itself says what doesn't fit
    states = dict(state["state"])
    for key, param in zip(saved, params, strict=True):
        if is_sharded(param) and key in states:
            states[key] = {name: _cut(value, param) for name, value in states[key].items()}
    return {**state, "state": states}


def _cut(value: Any, param: Parameter) -> Any:
    fits = isinstance(value, torch.Tensor) and value.shape == param.shape
    return shard_like(value, param) if fits else value
