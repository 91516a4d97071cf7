"""Predictors by the cosine between features and weights."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from toolkit.detection.registry import MODELS


def _unit(x: Tensor, power: float, eps: float) -> Tensor:
    """Divide by the length along dimension 1, taken to a power."""
    return x / (x.norm(dim=1, keepdim=True).pow(power) + eps)


@MODELS.register_module()
class NormedLinear(nn.Linear):
    """A linear layer of features and weights of length 1.

    Args:
        *args: Those of `torch.nn.Linear`.
        tempearture: What the cosines are multiplied by (spelled as in MMDetection).
        power: Of the lengths that are divided by.
        eps: Added to the lengths.
        **kwargs: Those of `torch.nn.Linear`.
    """

    def __init__(
        self, *args: Any, tempearture: float = 20, power: float = 1.0, eps: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tempearture, self.power, self.eps = tempearture, power, eps
        self.init_weights()

    def init_weights(self) -> None:
        """Small normal weights, biases of 0."""
        nn.init.normal_(self.weight, mean=0, std=0.01)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features)."""
        scaled = _unit(x, self.power, self.eps) * self.tempearture
        return F.linear(scaled, _unit(self.weight, self.power, self.eps), self.bias)


@MODELS.register_module()
class NormedConv2d(nn.Conv2d):
    """A convolution of features and weights of length 1 along the channels.

    Args:
        *args: Those of `torch.nn.Conv2d`.
        tempearture: What the cosines are multiplied by (spelled as in MMDetection).
        power: Of the lengths that are divided by.
        eps: Added to the lengths.
        norm_over_kernel: The length of weights is that of the whole kernel.
        **kwargs: Those of `torch.nn.Conv2d`.
    """

    def __init__(
        self,
        *args: Any,
        tempearture: float = 20,
        power: float = 1.0,
        eps: float = 1e-6,
        norm_over_kernel: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.tempearture, self.power, self.eps = tempearture, power, eps
        self.norm_over_kernel = norm_over_kernel

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H', W')."""
        weight = self.weight.flatten(1) if self.norm_over_kernel else self.weight
        weight = _unit(weight, self.power, self.eps).view_as(self.weight)
        return self._conv_forward(_unit(x, self.power, self.eps) * self.tempearture, weight, self.bias)
