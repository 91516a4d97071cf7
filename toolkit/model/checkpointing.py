"""Activation checkpointing: parts of a model whose activations are computed again instead of kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from toolkit.model.parts import chosen_modules


def turn_on_activation_checkpointing(model: nn.Module, modules: Sequence[str] | str) -> None:
    """Let parts of a model keep nothing of their forward pass but its input, and repeat it for the gradients.

    Gradients are the same, and so are the running statistics of batch norms, which the repetition leaves
    alone. Training takes less memory and more time.

    Args:
        model: The model; changed in place.
        modules: Names of modules, or patterns with ``*`` for any text: ``'backbone.layer1'``,
            ``'backbone.layer*'``. Of modules inside each other, the outermost is taken.

    Raises:
        ConfigError: A name or pattern fits no module.
    """
    taken: list[str] = []
    for name, module in chosen_modules(model, modules, "activation_checkpointing"):
        if any(name.startswith(f"{outer}.") for outer in taken):
            continue
        taken.append(name)
        # On the instance, so that neither the class nor the names of the weights change.
        module.forward = partial(_checkpointed, module, module.forward)


def _checkpointed(module: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    if torch.compiler.is_compiling():  # a compiled graph changes buffers once, whatever it computes twice
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)
    contexts = partial(_contexts, module)
    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """What the forward pass and its repetition run under."""
    return nullcontext(), _statistics_kept(module)


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Batch norms don't count the batch a second time."""
    norms = [one for one in module.modules() if isinstance(one, _NormBase) and one.training]
    before = [
        (one, one.momentum, None if one.num_batches_tracked is None else one.num_batches_tracked.clone())
        for one in norms
    ]
    for one in norms:
        one.momentum = 0.0
    try:
        yield
    finally:
        for one, momentum, count in before:
            one.momentum = momentum
            if count is not None and one.num_batches_tracked is not None:
                one.num_batches_tracked.copy_(count)
