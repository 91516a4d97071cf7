"""Helpers for batches, losses and batch normalisation."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from toolkit.utils import ConfigError, DataError

logger = logging.getLogger(__name__)


def padded_size(sizes: Sequence[Sequence[int]], divisor: int) -> list[int]:
    """The smallest size that holds all `sizes` and is a multiple of `divisor` in each dimension."""
    return [-(-max(extent) // divisor) * divisor for extent in zip(*sizes, strict=True)]


def stack_batch(tensor_list: Sequence[Tensor], pad_size_divisor: int = 1, pad_value: float = 0) -> Tensor:
    """Stack tensors (C, ...) of different sizes, padded at their far ends, into one (N, C, ...).

    Args:
        tensor_list: Tensors of one number of dimensions, dtype and first size.
        pad_size_divisor: Every dimension but the first is padded to a multiple of it.
        pad_value: What the padding holds.

    Raises:
        DataError: The list is empty, or dimensions or channels differ.
    """
    if not tensor_list:
        raise DataError("stack_batch got an empty list: a batch needs at least one tensor")
    shapes = [tuple(tensor.shape) for tensor in tensor_list]
    if len({(len(shape), shape[0]) for shape in shapes}) > 1:
        raise DataError(f"tensors of a batch must agree in dimensions and channels; got shapes {shapes}")
    target = (shapes[0][0], *padded_size([shape[1:] for shape in shapes], pad_size_divisor))
    if all(shape == target for shape in shapes):
        return torch.stack(list(tensor_list))
    batch = tensor_list[0].new_full((len(tensor_list), *target), pad_value)
    for slot, tensor in zip(batch, tensor_list, strict=True):
        slot[tuple(slice(extent) for extent in tensor.shape)] = tensor
    return batch


def merge_dict(*args: Mapping[str, Any]) -> dict[str, Any]:
    """One dict of several; a later one wins. Known to `torch.fx`, which can't trace a dict display."""
    output: dict[str, Any] = {}
    for item in args:
        output.update(item)
    return output


torch.fx.wrap("merge_dict")


def detect_anomalous_params(loss: Tensor, model: nn.Module) -> list[str]:
    """Log, and return the names of, the trainable parameters that `loss` doesn't depend on."""
    reached: set[Tensor] = set()
    seen: set[Any] = set()
    pending = [loss.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            reached.add(node.variable)
        pending.extend(parent for parent, _ in node.next_functions)
    unused = [
        name for name, param in model.named_parameters() if param.requires_grad and param not in reached
    ]
    for name in unused:
        logger.error("the loss doesn't depend on parameter %s", name)
    return unused


class _BatchNormXd(_BatchNorm):
    """Batch normalisation of any number of dimensions, which is what SyncBatchNorm takes."""

    def _check_input_dim(self, input: Tensor) -> None:
        return


def revert_sync_batchnorm(module: nn.Module) -> nn.Module:
    """Replace every SyncBatchNorm by batch normalisation with the same weights, which runs on a CPU."""
    if isinstance(module, nn.SyncBatchNorm):
        return _same_norm(module, _BatchNormXd)
    for name, child in module.named_children():
        setattr(module, name, revert_sync_batchnorm(child))
    return module


def convert_sync_batchnorm(module: nn.Module, implementation: str = "torch") -> nn.Module:
    """Replace every batch normalisation by SyncBatchNorm with the same weights.

    Args:
        module: Changed in place, unless it is itself a normalisation.
        implementation: Only 'torch'; MMCV's own operator is not carried over.
    """
    if implementation != "torch":
        raise ConfigError(f"sync_bn={implementation!r} is not available; use sync_bn='torch'")
    if isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
        return _same_norm(module, nn.SyncBatchNorm)
    for name, child in module.named_children():
        setattr(module, name, convert_sync_batchnorm(child))
    return module


def _same_norm(old: _BatchNorm, cls: type[_BatchNorm]) -> _BatchNorm:
    new = cls(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    new.weight, new.bias = old.weight, old.bias
    new.running_mean, new.running_var = old.running_mean, old.running_var
    new.num_batches_tracked = old.num_batches_tracked
    new.training = old.training
    return new
