"""A batch through a model of MMCV 1.x, or of this toolkit."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

import torch
from torch import nn

from toolkit.dist import all_reduce, broadcast
from toolkit.model import BaseDataPreprocessor, BaseModel
from toolkit.model.steps import run_forward
from toolkit.runner.checkpoint.weights import unwrapped
from toolkit.utils.errors import ConfigError

_FORM = "dict(loss=…, log_vars={…}, num_samples=…)"


def is_present(model: nn.Module) -> bool:
    """Whether the model's steps are those of `BaseModel`, not those of MMCV 1.x."""
    inner = unwrapped(model)
    return isinstance(inner, BaseModel) and type(inner).train_step is BaseModel.train_step


def losses_of(model: nn.Module, data_batch: Any, train_mode: bool) -> dict[str, Any]:
    """What an old `train_step` returns, of a `BaseModel`: the optimisation step is left to a hook."""
    inner: Any = unwrapped(model)
    data = inner.data_preprocessor(data_batch, train_mode)
    loss, log_vars = inner.parse_losses(run_forward(model, data, "loss"))
    return {"loss": loss, "log_vars": log_vars, "num_samples": _samples(data)}


def _samples(data: Any) -> int:
    first = next(iter(data.values())) if isinstance(data, Mapping) else data[0]
    return len(first) if isinstance(first, Sized) else 1


def run_model(runner: Any, data_batch: Any, train_mode: bool, **kwargs: Any) -> dict[str, Any]:
    """The outputs of a batch, from the `batch_processor`, or the model's `train_step` or `val_step`.

    Raises:
        ConfigError: They aren't of MMCV's form.
    """
    model = runner.model
    if runner.batch_processor is not None:
        outputs = runner.batch_processor(model, data_batch, train_mode=train_mode, **kwargs)
        name = "batch_processor"
    elif is_present(model):
        return losses_of(model, data_batch, train_mode)
    else:
        name = "train_step" if train_mode else "val_step"
        outputs = getattr(unwrapped(model), name)(data_batch, runner.optimizer, **kwargs)
    if not isinstance(outputs, dict):
        raise ConfigError(f"{name}() must return {_FORM}, got {type(outputs).__name__}")
    if "log_vars" in outputs and "num_samples" not in outputs:
        raise ConfigError(f"{name}() must return {_FORM}; num_samples is missing")
    return outputs


def share_gradients(model: nn.Module) -> None:
    """Make the weights those of rank 0, and average each gradient over the processes when it is computed.

    For models whose step doesn't go through the `forward` of a `DistributedDataParallel`. All processes must
    use the same parameters in each iteration.
    """
    for value in model.state_dict().values():
        broadcast(value)
    for param in model.parameters():
        if param.requires_grad:
            param.register_post_accumulate_grad_hook(_average_gradient)


def _average_gradient(param: torch.Tensor) -> None:
    assert param.grad is not None
    all_reduce(param.grad, op="mean")


def mover(device: Any) -> BaseDataPreprocessor:
    """Moves batches to a device, as MMCV's parallel wrappers did."""
    return BaseDataPreprocessor().to(device)
