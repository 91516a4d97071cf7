"""`OptimWrapper`: an optimizer with gradient accumulation, clipping and a check of the loss."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import Parameter
from torch.optim import Optimizer

from toolkit.optim.finite import FiniteCheck
from toolkit.optim.regroup import is_ungrouped, regrouped
from toolkit.optim.sharded import clip_grad_norm, clip_grad_value, holds_sharded, resharded
from toolkit.registry import OPTIM_WRAPPERS
from toolkit.utils import ConfigError, did_you_mean
from toolkit.utils.dl_utils import has_batch_norm

logger = logging.getLogger(__name__)

_NO_CONTEXT: AbstractContextManager[None] = nullcontext()
_PARTS_OF_A_STEP = ("backward", "step", "zero_grad")
_CLIP_FUNCTIONS: dict[str, Callable[..., Tensor | None]] = {
    "norm": torch.nn.utils.clip_grad_norm_,
    "value": torch.nn.utils.clip_grad_value_,
}
_SHARDED_CLIP_FUNCTIONS: dict[str, Callable[..., Tensor | None]] = {
    "norm": clip_grad_norm,
    "value": clip_grad_value,
}


class BaseOptimWrapper:
    """What schedulers, hooks and checkpoints ask of a wrapped optimizer.

    Args:
        optimizer: The optimizer.
    """

    parameter_order: Sequence[Parameter] | None = None
    """The trainable parameters in the order of the model; the constructor of the wrapper sets it where it has
    joined parameter groups. MMEngine's states are in that order."""

    group_sources: Sequence[int] | None = None
    """After a state of MMEngine was taken: for each parameter group, which of its groups that was."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def update_params(self, loss: Tensor) -> None:
        """Take an optimisation step on a loss."""
        raise NotImplementedError(f"{type(self).__name__} must implement update_params")

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute gradients of a loss."""
        raise NotImplementedError(f"{type(self).__name__} must implement backward")

    def zero_grad(self, **kwargs: Any) -> None:
        """Clear the gradients."""
        raise NotImplementedError(f"{type(self).__name__} must implement zero_grad")

    def step(self, **kwargs: Any) -> None:
        """Change the parameters by their gradients."""
        raise NotImplementedError(f"{type(self).__name__} must implement step")

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups."""
        return self.optimizer.param_groups

    @property
    def defaults(self) -> dict[str, Any]:
        """The optimizer's defaults."""
        return self.optimizer.defaults

    def get_lr(self) -> dict[str, list[float]]:
        """The learning rate of each group, under `lr`."""
        return {"lr": [group["lr"] for group in self.optimizer.param_groups]}

    def get_momentum(self) -> dict[str, list[float]]:
        """The momentum (or the first beta; 0 where there is neither) of each group, under `momentum`."""
        return {"momentum": [_momentum(group) for group in self.optimizer.param_groups]}

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state."""
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave, or what MMEngine's wrapper gave. It is not changed.

        Raises:
            ValueError: It is the state of other parameters.
        """
        # MMEngine keeps a parameter group of its own there, that no optimizer knows.
        known = {key: value for key, value in state_dict.items() if key != "base_param_settings"}
        self.group_sources = None
        order = self.parameter_order
        if order is not None and is_ungrouped(known, self.optimizer.param_groups):
            known, self.group_sources = regrouped(known, self.optimizer.param_groups, order)
        self.optimizer.load_state_dict(resharded(known, self.optimizer.param_groups))


def _momentum(group: Mapping[str, Any]) -> float:
    if "momentum" in group:
        return float(group["momentum"])
    return float(group["betas"][0]) if "betas" in group else 0.0


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(BaseOptimWrapper):
    """One interface to the optimisation step, whatever the precision, accumulation and clipping.

    Args:
        optimizer: The optimizer.
        accumulative_counts: Sum the gradients of that many losses (each divided by the number) before a step.
        clip_grad: Arguments of `torch.nn.utils.clip_grad_norm_` (`max_norm`, `norm_type`, ...), or with
            ``type='value'`` of `clip_grad_value_` (`clip_value`).
        check_finite: Refuse a loss that is NaN or infinite before the weights change.

    Attributes:
        log_vars: What the last call of `update_params` has to log: `grad_norm`, a tensor on the device, at
            each step with clipping by norm.

    Raises:
        ConfigError: An argument is out of range, or `clip_grad` has an unknown type or no arguments.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        accumulative_counts: int = 1,
        clip_grad: Mapping[str, Any] | None = None,
        check_finite: bool = True,
    ) -> None:
        super().__init__(optimizer)
        if not isinstance(accumulative_counts, int) or accumulative_counts < 1:
            raise ConfigError(
                f"accumulative_counts must be an integer of at least 1, got {accumulative_counts!r}"
            )
        self._accumulative_counts = accumulative_counts
        self._clip, self.clip_grad_kwargs = _clipping(clip_grad, holds_sharded(optimizer.param_groups))
        self._finite = FiniteCheck() if check_finite else None
        self.log_vars: dict[str, Tensor] = {}
        own = all(getattr(type(self), name) is getattr(OptimWrapper, name) for name in _PARTS_OF_A_STEP)
        self._is_plain = own and accumulative_counts == 1 and self._clip is None
        self._inner_count = 0
        # The number of losses in the whole run: the last ones may be too few for a full accumulation.
        self._max_counts = -1
        self._remainder_counts = -1

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: Mapping[str, Any] | None = None,
        zero_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Take one loss: backward, and where accumulation is complete, a step.

        Args:
            loss: 0-dimensional, with its graph.
            step_kwargs: Arguments of the optimizer's `step`.
            zero_kwargs: Arguments of the optimizer's `zero_grad`.

        Raises:
            TrainingError: The loss is not finite; no weight has changed.
        """
        finite = self._finite
        is_open = finite is not None and finite.before_backward(loss)
        if self._accumulative_counts != 1:
            loss = self.scale_loss(loss)
        if self._is_plain:
            # As `backward` does it, which is a call less.
            loss.backward()
            self._inner_count += 1
        else:
            self.backward(loss)
        if finite is not None and is_open:
            finite.after_backward()
        if self._is_plain and not step_kwargs and not zero_kwargs:
            optimizer = self.optimizer
            optimizer.step()
            optimizer.zero_grad()
        elif self._accumulative_counts == 1 or self.should_update():
            self.step(**(step_kwargs or {}))
            self.zero_grad(**(zero_kwargs or {}))
        elif self.log_vars:
            self.log_vars = {}

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute gradients, and count the loss. An override must add 1 to `_inner_count` as well."""
        loss.backward(**kwargs)
        self._inner_count += 1

    def zero_grad(self, **kwargs: Any) -> None:
        """The optimizer's `zero_grad`."""
        self.optimizer.zero_grad(**kwargs)

    def step(self, **kwargs: Any) -> None:
        """Clip the gradients where asked to, and the optimizer's `step`."""
        if self._clip is not None:
            self._clip_grad()
        self.optimizer.step(**kwargs)

    def _clip_grad(self) -> None:
        assert self._clip is not None
        params = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = self._clip(params, **self.clip_grad_kwargs) if params else None
        if norm is not None:
            self.log_vars = {"grad_norm": norm.detach()}

    def optim_context(self, model: nn.Module) -> AbstractContextManager[Any]:
        """The context for the forward pass: no gradient exchange between processes while accumulating.

        Args:
            model: The model that is called; `no_sync` of `DistributedDataParallel` is used where it has one.
        """
        if self._accumulative_counts == 1 or self.should_sync():
            return _NO_CONTEXT
        no_sync = getattr(model, "no_sync", None)
        return _NO_CONTEXT if no_sync is None else no_sync()

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Tell the wrapper where in the run it is, so that the last, shorter accumulation comes out right.

        Args:
            model: The model in training, looked at for batch normalisation.
            init_counts: Losses taken before now (the iteration at which a run resumes).
            max_counts: Losses in the whole run.
        """
        self._inner_count = init_counts
        self._max_counts = max_counts
        self._remainder_counts = max_counts % self._accumulative_counts
        if self._accumulative_counts > 1 and has_batch_norm(model):
            logger.warning(
                "accumulative_counts=%d: batch normalisation still sees single batches, which may cost "
                "accuracy",
                self._accumulative_counts,
            )

    def should_update(self) -> bool:
        """Whether the losses taken so far complete an accumulation, or the run."""
        counts = self._accumulative_counts
        return counts == 1 or self._inner_count % counts == 0 or self._inner_count == self._max_counts

    def should_sync(self) -> bool:
        """Whether gradients must be exchanged for the next loss, because a step follows it."""
        upcoming = self._inner_count + 1
        return upcoming % self._accumulative_counts == 0 or upcoming == self._max_counts

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide a loss by the number of losses that are accumulated with it."""
        count = self._accumulative_counts
        if self._remainder_counts > 0 and self._inner_count >= self._max_counts - self._remainder_counts:
            count = self._remainder_counts
        return loss / count

    @property
    def inner_count(self) -> int:
        """How many losses were taken."""
        return self._inner_count

    def __repr__(self) -> str:
        counts = self._accumulative_counts
        return f"{type(self).__name__}(accumulative_counts={counts},\noptimizer={self.optimizer!r})"


def _clipping(
    clip_grad: Mapping[str, Any] | None, sharded: bool
) -> tuple[Callable[..., Tensor | None] | None, dict[str, Any]]:
    """The function and arguments that a `clip_grad` config means, for plain parameters or sharded ones."""
    if clip_grad is None:
        return None, {}
    if not isinstance(clip_grad, Mapping):
        raise ConfigError(
            f"clip_grad must be a dict such as dict(max_norm=35, norm_type=2), got {clip_grad!r}"
        )
    kwargs = dict(clip_grad)
    kind = kwargs.pop("type", "norm")
    if kind not in _CLIP_FUNCTIONS:
        raise ConfigError(
            f"clip_grad type {kind!r} is not one of {', '.join(_CLIP_FUNCTIONS)}"
            f"{did_you_mean(str(kind), _CLIP_FUNCTIONS)}"
        )
    needed = "max_norm" if kind == "norm" else "clip_value"
    if needed not in kwargs:
        raise ConfigError(f"clip_grad of type {kind!r} needs {needed!r}; got {dict(clip_grad)!r}")
    return (_SHARDED_CLIP_FUNCTIONS if sharded else _CLIP_FUNCTIONS)[kind], kwargs
