"""Which parameters the first step of a training left without a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from toolkit.optim import OptimWrapperDict
from toolkit.runner.checkpoint.weights import unwrapped

_SHOWN = 20  # modules


def report_after_first_step(model: nn.Module, optim_wrapper: Any, logger: Any) -> None:
    """Have the first step of each optimizer warn of its trainable parameters that have no gradient.

    Nothing is left behind in the steps that follow.

    Args:
        model: The model, wrapped or not.
        optim_wrapper: Whose optimizers are watched.
        logger: Gets the warning.
    """
    names = {param: name for name, param in unwrapped(model).named_parameters()}
    wrappers = optim_wrapper.values() if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    for wrapper in wrappers:
        optimizer = getattr(wrapper, "optimizer", None)
        if isinstance(optimizer, Optimizer):
            _watch(optimizer, names, logger)


def _watch(optimizer: Optimizer, names: Mapping[nn.Parameter, str], logger: Any) -> None:
    def look(optimizer: Optimizer, *_: Any) -> None:
        # Before the step: afterwards the gradients are gone.
        handle.remove()
        unused = [
            names[param]
            for group in optimizer.param_groups
            for param in group["params"]
            if param.requires_grad and param.grad is None and param in names
        ]
        if unused:
            logger.warning(unused_table(unused))

    handle = optimizer.register_step_pre_hook(look)


def unused_table(names: Sequence[str]) -> str:
    """The message about parameters without a gradient, a line for each module that holds some."""
    by_module: dict[str, list[str]] = {}
    for name in names:
        module, _, own = name.rpartition(".")
        by_module.setdefault(module or "(the model itself)", []).append(own)
    lines = [f"  {module}: {', '.join(own)}" for module, own in list(by_module.items())[:_SHOWN]]
    if len(by_module) > _SHOWN:
        lines.append(f"  and {len(by_module) - _SHOWN} more modules")
    return "\n".join(
        [
            f"{len(names)} trainable parameters got no gradient in the first step: the loss doesn't depend "
            "on them. If that is meant, freeze them (freeze=[...]), or silence this with "
            "report_unused_parameters=False; in a distributed run they need find_unused_parameters=True",
            *lines,
        ]
    )
