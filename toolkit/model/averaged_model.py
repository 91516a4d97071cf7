"""Averages of a model's weights over the steps of training."""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.dist import is_sharded
from toolkit.registry import MODELS
from toolkit.utils import ConfigError

logger = logging.getLogger(__name__)

_Pairs = list[tuple[Tensor, Tensor]]


class BaseAveragedModel(nn.Module):
    """A copy of a model whose weights are an average of what the model's were.

    Its state dict has the copy under `module` and the count of updates as `steps`.

    Args:
        model: The model to average. It is copied.
        interval: Every how many calls of `update_parameters` the average moves.
        device: Where the copy lives; by default where the model does.
        update_buffers: Average the floating-point buffers too (such as a BatchNorm's statistics); the others
            are copied. Without it all buffers are copied.
    """

    steps: Tensor

    def __init__(
        self,
        model: nn.Module,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__()
        if interval < 1:
            raise ConfigError(f"interval of {type(self).__name__} must be at least 1, got {interval}")
        if any(map(is_sharded, model.parameters())):
            raise ConfigError(
                f"{type(self).__name__} keeps a whole copy of the weights: there is no average of a sharded "
                "model. Leave out EMAHook, or train with MMDistributedDataParallel"
            )
        self.module = deepcopy(model).requires_grad_(False)
        if device is not None:
            self.module = self.module.to(device)
        self.interval = interval
        self.update_buffers = update_buffers
        self.register_buffer("steps", torch.tensor(0, dtype=torch.long))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        # The count is kept on the host, so that asking for it never waits for a device.
        self.steps = self.steps.cpu()
        return self

    def avg_weight(self, steps: int) -> float:
        """How far the average moves towards the model, 0 to 1, after `steps` calls of `update_parameters`."""
        raise NotImplementedError(f"{type(self).__name__} must implement avg_weight, or avg_func")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the averaged model."""
        return self.module(*args, **kwargs)

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: Tensor) -> None:
        """Move one tensor of the average, in place. A subclass may override it in place of `avg_weight`."""
        averaged_param.lerp_(source_param, self.avg_weight(int(steps)))

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the present weights of `model` into the average. The first call copies them."""
        averaged, copied = self._tensors(self.module, model)
        steps = int(self.steps)
        if steps == 0:
            copied += averaged
        elif steps % self.interval == 0:
            self._average(averaged, steps)
        if copied:
            torch._foreach_copy_(*_split(copied))
        self.steps += 1

    def _average(self, pairs: _Pairs, steps: int) -> None:
        own, source = _split(pairs)
        if type(self).avg_func is BaseAveragedModel.avg_func:
            torch._foreach_lerp_(own, source, self.avg_weight(steps))
            return
        for averaged_param, source_param in zip(own, source, strict=True):
            self.avg_func(averaged_param, source_param, self.steps)

    def _tensors(self, own: nn.Module, source: nn.Module) -> tuple[_Pairs, _Pairs]:
        """Pairs (average, source): those to be averaged and those to be copied."""
        averaged: _Pairs = list(zip(own.parameters(), source.parameters(), strict=True))
        copied: _Pairs = []
        for pair in zip(own.buffers(), source.buffers(), strict=True):
            (averaged if self.update_buffers and pair[0].is_floating_point() else copied).append(pair)
        return averaged, copied


def _split(pairs: _Pairs) -> tuple[list[Tensor], list[Tensor]]:
    return [own for own, _ in pairs], [source.to(own.device) for own, source in pairs]


@MODELS.register_module()
class StochasticWeightAverage(BaseAveragedModel):
    """The plain mean of the weights at every update (Izmailov et al., "Averaging weights", 2018)."""

    def avg_weight(self, steps: int) -> float:
        """1 / (number of weights in the mean)."""
        return 1 / (steps // self.interval + 1)


@MODELS.register_module()
class ExponentialMovingAverage(BaseAveragedModel):
    """``average = (1 - momentum) * average + momentum * weights``.

    Args:
        model: See `BaseAveragedModel`, as for the other arguments.
        momentum: Share of the new weights, between 0 and 1; usually small.
        interval: See `BaseAveragedModel`.
        device: See `BaseAveragedModel`.
        update_buffers: See `BaseAveragedModel`.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, interval, device, update_buffers)
        if not 0.0 < momentum < 1.0:
            raise ConfigError(f"momentum of {type(self).__name__} must be between 0 and 1, got {momentum}")
        if momentum > 0.5:
            logger.warning(
                "EMA momentum=%s is the share of the new weights at each step, usually below 0.01; did you "
                "mean %s?",
                momentum,
                round(1 - momentum, 12),
            )
        self.momentum = momentum

    def avg_weight(self, steps: int) -> float:
        """The momentum, whatever the step."""
        return self.momentum


@MODELS.register_module()
class MomentumAnnealingEMA(ExponentialMovingAverage):
    """An EMA whose momentum falls as ``gamma / (gamma + steps)`` down to `momentum`.

    The average follows the weights closely while they change fast, as in YOLOX (Ge et al., 2021).

    Args:
        model: See `BaseAveragedModel`, as for the other arguments.
        momentum: The least momentum.
        gamma: How long the momentum stays high, in updates; more than 0.
        interval: See `BaseAveragedModel`.
        device: See `BaseAveragedModel`.
        update_buffers: See `BaseAveragedModel`.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.0002,
        gamma: int = 100,
        interval: int = 1,
        device: torch.device | str | None = None,
        update_buffers: bool = False,
    ) -> None:
        super().__init__(model, momentum, interval, device, update_buffers)
        if gamma <= 0:
            raise ConfigError(f"gamma of MomentumAnnealingEMA must be more than 0, got {gamma}")
        self.gamma = gamma

    def avg_weight(self, steps: int) -> float:
        """``max(momentum, gamma / (gamma + steps))``."""
        return max(self.momentum, self.gamma / (self.gamma + steps))
