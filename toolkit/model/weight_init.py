"""Functions that initialise the `weight` and `bias` of one module, where it has them."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from toolkit.utils import ConfigError, did_you_mean

_DISTRIBUTIONS = ("normal", "uniform")


def constant_init(module: nn.Module, val: float, bias: float = 0) -> None:
    """Fill the weight with `val` and the bias with `bias`."""
    _fill(module, bias, lambda weight: nn.init.constant_(weight, val))


def xavier_init(module: nn.Module, gain: float = 1, bias: float = 0, distribution: str = "normal") -> None:
    """Glorot and Bengio, "Understanding the difficulty of training deep feedforward networks", 2010."""
    draw = {"normal": nn.init.xavier_normal_, "uniform": nn.init.xavier_uniform_}[_known(distribution)]
    _fill(module, bias, lambda weight: draw(weight, gain=gain))


def normal_init(module: nn.Module, mean: float = 0, std: float = 1, bias: float = 0) -> None:
    """Draw the weight from N(mean, std²)."""
    _fill(module, bias, lambda weight: nn.init.normal_(weight, mean, std))


def trunc_normal_init(
    module: nn.Module, mean: float = 0, std: float = 1, a: float = -2, b: float = 2, bias: float = 0
) -> None:
    """Draw the weight from N(mean, std²) cut off at the absolute values `a` and `b`."""
    _fill(module, bias, lambda weight: nn.init.trunc_normal_(weight, mean, std, a, b))


def uniform_init(module: nn.Module, a: float = 0, b: float = 1, bias: float = 0) -> None:
    """Draw the weight from U(a, b)."""
    _fill(module, bias, lambda weight: nn.init.uniform_(weight, a, b))


def kaiming_init(
    module: nn.Module,
    a: float = 0,
    mode: str = "fan_out",
    nonlinearity: str = "relu",
    bias: float = 0,
    distribution: str = "normal",
) -> None:
    """He et al., "Delving deep into rectifiers", 2015. `a` is the negative slope of a leaky ReLU."""
    draw: Callable[..., Tensor] = {"normal": nn.init.kaiming_normal_, "uniform": nn.init.kaiming_uniform_}[
        _known(distribution)
    ]
    _fill(module, bias, lambda weight: draw(weight, a=a, mode=mode, nonlinearity=nonlinearity))


def caffe2_xavier_init(module: nn.Module, bias: float = 0) -> None:
    """What Caffe2 calls XavierFill: uniform, with variance 1 / fan_in."""
    kaiming_init(module, a=1, mode="fan_in", nonlinearity="leaky_relu", bias=bias, distribution="uniform")


def bilinear_init(module: nn.Module, bias: float = 0) -> None:
    """Make a (transposed) convolution start as bilinear upsampling.

    The weight (out, in, kH, kW) gets the same triangular kernel in every channel, as Long et al.,
    "Fully convolutional networks", 2015, start their learned upsampling.
    """
    _fill(module, bias, _bilinear_)


def bias_init_with_prob(prior_prob: float) -> float:
    """The bias at which a sigmoid gives `prior_prob` for zero input (Lin et al., "Focal loss", 2017)."""
    return -math.log((1 - prior_prob) / prior_prob)


def _fill(module: nn.Module, bias: float, fill: Callable[[Tensor], object]) -> None:
    weight, offset = getattr(module, "weight", None), getattr(module, "bias", None)
    if isinstance(weight, Tensor):
        fill(weight)
    if isinstance(offset, Tensor):
        nn.init.constant_(offset, bias)


def _known(distribution: str) -> str:
    if distribution not in _DISTRIBUTIONS:
        raise ConfigError(
            f"distribution={distribution!r} is not one of {', '.join(_DISTRIBUTIONS)}"
            f"{did_you_mean(str(distribution), _DISTRIBUTIONS)}"
        )
    return distribution


def _bilinear_(weight: Tensor) -> None:
    if weight.dim() != 4:
        raise ConfigError(
            f"bilinear initialisation needs a 4-dimensional weight, got shape {tuple(weight.shape)}"
        )
    rows, cols = (_triangle(size).to(weight) for size in weight.shape[2:])
    weight.data.copy_((rows[:, None] * cols[None, :]).expand_as(weight))


def _triangle(size: int) -> Tensor:
    import torch

    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    return 1 - (torch.arange(size, dtype=torch.float64) - centre).abs() / factor
