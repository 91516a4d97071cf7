"""Optimizer states of MMEngine, which makes a parameter group of every parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn.parameter import Parameter

# States of these names have the shape of their parameter, in every optimizer of torch that has them.
_SHAPED = ("momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg")


def is_ungrouped(state: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a state has a group for each parameter, where the optimizer has joined some of them."""
    saved = state.get("param_groups") or ()
    count = sum(len(group["params"]) for group in groups)
    return (
        len(saved) != len(groups)
        and len(saved) == count
        and all(len(group["params"]) == 1 for group in saved)
    )


def regrouped(
    state: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], order: Sequence[Parameter]
) -> tuple[dict[str, Any], list[int]]:
    """A state with a group for each parameter as one of the optimizer's own groups.

    Args:
        state: The saved state.
        groups: The optimizer's groups.
        order: The parameters in the order of the saved groups, which is that of the model.

    Returns:
        The state, and for each of the optimizer's groups the number of a saved group that became part of it.

    Raises:
        ValueError: Parameters that are one group now had different settings, or a state is not of the shape
            of its parameter.
    """
    saved = state["param_groups"]
    place = {id(param): number for number, param in enumerate(order)}
    states: dict[int, Any] = {}
    new_groups: list[dict[str, Any]] = []
    sources: list[int] = []
    index = 0
    for group in groups:
        numbers = [place[id(param)] for param in group["params"]]
        settings = [_settings(saved[number]) for number in numbers]
        for number, other in zip(numbers, settings, strict=True):
            if other != settings[0]:
                raise ValueError(
                    f"parameters {numbers[0]} and {number} of the model are in one group now, but were "
                    f"trained with {settings[0]} and {other}; resume with the paramwise_cfg of that training"
                )
        members = list(range(index, index + len(numbers)))
        index += len(numbers)
        for member, number, param in zip(members, numbers, group["params"], strict=True):
            key = saved[number]["params"][0]
            if key in state["state"]:
                states[member] = _fitting(state["state"][key], param, number)
        new_groups.append({**settings[0], "params": members})
        sources.append(numbers[0])
    return {**state, "state": states, "param_groups": new_groups}, sources


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != "params"}


def _fitting(state: Mapping[str, Any], param: Parameter, number: int) -> Mapping[str, Any]:
    for name in _SHAPED:
        value = state.get(name)
        if isinstance(value, Tensor) and value.shape != param.shape:
            raise ValueError(
                f"{name} of parameter {number} has the shape {tuple(value.shape)}, the parameter "
                f"{tuple(param.shape)}"
            )
    return state
