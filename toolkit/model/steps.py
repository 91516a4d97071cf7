"""What a model's steps share with those of its wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from toolkit.utils import DataError


def run_forward(call: nn.Module, data: Any, mode: str) -> Any:
    """Call a model with a batch: a mapping is unpacked by name, a sequence by place.

    Raises:
        DataError: The batch is neither.
    """
    if isinstance(data, dict):
        return call(**data, mode=mode)
    if isinstance(data, (list, tuple)):
        return call(*data, mode=mode)
    if isinstance(data, Mapping):
        return call(**dict(data), mode=mode)
    raise DataError(
        f"a batch must be a dict (unpacked by name) or a list or tuple (by place) once the data_preprocessor "
        f"has seen it; got {type(data).__name__}"
    )


def take_step(call: nn.Module, model: Any, data: Any, optim_wrapper: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """One optimisation step of `model`, whose forward pass goes through `call` (itself, or its wrapper).

    Returns:
        The loss, and what is to be logged: detached tensors on the model's device.
    """
    # A torch.nn.Module looks submodules up only after a failed search for an attribute, which costs more than
    # the call, and this runs in every iteration.
    preprocess = model._modules.get("data_preprocessor")
    with optim_wrapper.optim_context(call):
        losses = run_forward(call, (preprocess or model.data_preprocessor)(data, True), "loss")
    loss, log_vars = model.parse_losses(losses)
    optim_wrapper.update_params(loss)
    extra = getattr(optim_wrapper, "log_vars", None)
    if extra:
        log_vars.update(extra)
    return loss, log_vars
