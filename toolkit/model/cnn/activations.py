"""Activation layers by their names in configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from toolkit.registry import MODELS

# Layers of torch.nn (ReLU, LeakyReLU, SiLU, GELU, ...) are found by name without being registered.
MODELS.register_module("Swish", module=nn.SiLU)
MODELS.register_module("HSwish", module=nn.Hardswish)

# Layers whose constructor has no `inplace`, so that a default for it must not reach them.
_WITHOUT_INPLACE = (
    "Tanh",
    "PReLU",
    "Sigmoid",
    "HSigmoid",
    "Swish",
    "GELU",
    "Softmax",
    "LogSoftmax",
    "Softplus",
)


@MODELS.register_module()
class HSigmoid(nn.Module):
    """``clamp((x + bias) / divisor, min_value, max_value)``, elementwise.

    Args:
        bias: Added to the input.
        divisor: The sum is divided by it.
        min_value: Lower bound of the output.
        max_value: Upper bound of the output.
    """

    def __init__(
        self, bias: float = 3.0, divisor: float = 6.0, min_value: float = 0.0, max_value: float = 1.0
    ) -> None:
        super().__init__()
        if divisor == 0:
            raise ValueError("HSigmoid: divisor must not be 0")
        self.bias = bias
        self.divisor = divisor
        self.min_value = min_value
        self.max_value = max_value

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        return ((x + self.bias) / self.divisor).clamp(self.min_value, self.max_value)


@MODELS.register_module(name=["Clip", "Clamp"])
class Clamp(nn.Module):
    """Limits each value to ``[min, max]``.

    Args:
        min: Lower bound.
        max: Upper bound.
    """

    def __init__(self, min: float = -1.0, max: float = 1.0) -> None:
        super().__init__()
        self.min = min
        self.max = max

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        return x.clamp(self.min, self.max)


def build_activation_layer(cfg: Mapping[str, Any], inplace: bool | None = None) -> nn.Module:
    """Build an activation from its config.

    Args:
        cfg: ``type`` and the constructor's arguments.
        inplace: Default for the layer's ``inplace``, where it has such an argument and `cfg` doesn't set it.

    Returns:
        The layer.
    """
    cfg = dict(cfg)
    if inplace is not None and cfg["type"] not in _WITHOUT_INPLACE:
        cfg.setdefault("inplace", inplace)
    return MODELS.build(cfg)
