"""Norm layers, images of tensors, and names that torch has itself by now."""

from __future__ import annotations

import importlib.util
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn
from torch.hub import load_state_dict_from_url as load_url
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

__all__ = [
    "has_batch_norm",
    "is_jit_tracing",
    "is_norm",
    "load_url",
    "mmcv_full_available",
    "tensor2imgs",
    "torch_meshgrid",
]

_Norm = _BatchNorm | _InstanceNorm | nn.GroupNorm | nn.LayerNorm


def is_norm(layer: Any, exclude: type | tuple[type, ...] | None = None) -> TypeGuard[_Norm]:
    """Whether a layer is a batch, instance, group or layer norm.

    Args:
        layer: The layer.
        exclude: Norms that don't count.

    Raises:
        TypeError: `exclude` is neither a class nor a tuple of them.
    """
    kinds = exclude if isinstance(exclude, tuple) else () if exclude is None else (exclude,)
    if not all(isinstance(kind, type) for kind in kinds):
        raise TypeError(f"exclude is a class or a tuple of classes, got {exclude!r}")
    return isinstance(layer, _Norm) and not isinstance(layer, kinds)


def has_batch_norm(model: nn.Module) -> bool:
    """Whether there is a batch norm in a model, or it is one."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def is_jit_tracing() -> bool:
    """Whether the running code is traced by `torch.jit`."""
    return bool(torch.jit.is_tracing())


def torch_meshgrid(*tensors: Tensor) -> tuple[Tensor, ...]:
    """`torch.meshgrid` with the first tensor along the rows."""
    return tuple(torch.meshgrid(*tensors, indexing="ij"))


def mmcv_full_available() -> bool:
    """Whether MMCV with its compiled ops is installed; nothing here needs it."""
    return importlib.util.find_spec("mmcv") is not None and importlib.util.find_spec("mmcv._ext") is not None


def tensor2imgs(
    tensor: Tensor,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    to_bgr: bool = True,
) -> list[np.ndarray[Any, Any]]:
    """Images of a batch, with its normalisation undone.

    Args:
        tensor: (N, C, H, W), 1 or 3 channels.
        mean: What was subtracted from each channel; 0 by default.
        std: What each channel was divided by; 1 by default.
        to_bgr: Turn the channels around; for 3 channels only.

    Returns:
        N contiguous uint8 arrays (H, W, C).

    Raises:
        ValueError: The shape, or the lengths of `mean` and `std`, don't fit.
    """
    if tensor.ndim != 4 or tensor.size(1) not in (1, 3):
        raise ValueError(f"tensor2imgs takes (N, 1 or 3, H, W), got {tuple(tensor.shape)}")
    channels = tensor.size(1)
    mean = (0,) * channels if mean is None else mean
    std = (1,) * channels if std is None else std
    if len(mean) != channels or len(std) != channels:
        raise ValueError(f"{channels} channels need as many means and stds, got mean={mean}, std={std}")
    if to_bgr and channels == 1:
        raise ValueError("one channel can't be turned from RGB to BGR: pass to_bgr=False")
    values = tensor.detach().cpu().float() * torch.tensor(std, dtype=torch.float32).view(-1, 1, 1)
    values = values + torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1)
    if to_bgr:
        values = values.flip(1)
    return [np.ascontiguousarray(image) for image in values.permute(0, 2, 3, 1).numpy().astype(np.uint8)]
