"""MMCV's optimizer hooks, over the present optimizer wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.model import detect_anomalous_params
from toolkit.optim import AmpOptimWrapper, OptimWrapper
from toolkit.runner.legacy.hook import HOOKS, Hook, Runner
from toolkit.utils import ConfigError


@HOOKS.register_module()
class OptimizerHook(Hook):
    """Takes an optimisation step on `runner.outputs['loss']` after each iteration.

    Args:
        grad_clip: Arguments of `torch.nn.utils.clip_grad_norm_`, such as ``dict(max_norm=35, norm_type=2)``.
        detect_anomalous_params: Log the parameters that the loss doesn't depend on. Slow.
    """

    priority = "ABOVE_NORMAL"

    def __init__(
        self, grad_clip: Mapping[str, Any] | None = None, detect_anomalous_params: bool = False
    ) -> None:
        self.grad_clip = grad_clip
        self.detect_anomalous_params = detect_anomalous_params

    def wrapped(self, optimizer: Any) -> OptimWrapper:
        """The optimizer in the wrapper that this hook stands for."""
        return OptimWrapper(optimizer, clip_grad=self.grad_clip)

    def before_run(self, runner: Runner) -> None:
        """Puts the runner's optimizer into its wrapper."""
        if runner.optimizer is None or isinstance(runner.optimizer, Mapping):
            raise ConfigError(
                f"{type(self).__name__} steps one optimizer, the runner has "
                f"{'none' if runner.optimizer is None else 'several'}; step several in the model's train_step"
            )
        runner.optim_wrapper = self.wrapped(runner.optimizer)

    def after_train_iter(self, runner: Runner) -> None:  # type: ignore[override]
        """Takes the step, and notes the norm of the gradients where they are clipped."""
        loss = runner.outputs["loss"]
        if self.detect_anomalous_params:
            detect_anomalous_params(loss, model=runner.model)
        wrapper = runner.optim_wrapper
        wrapper.update_params(loss)
        if wrapper.log_vars:
            runner.log_buffer.update(wrapper.log_vars, runner.outputs.get("num_samples", 1))


@HOOKS.register_module()
class GradientCumulativeOptimizerHook(OptimizerHook):
    """`OptimizerHook` with a step for every so many iterations.

    Args:
        cumulative_iters: Iterations to a step; their gradients are averaged.
        **kwargs: Arguments of `OptimizerHook`.
    """

    def __init__(self, cumulative_iters: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cumulative_iters = cumulative_iters

    def wrapped(self, optimizer: Any) -> OptimWrapper:
        """See `OptimizerHook`."""
        return OptimWrapper(optimizer, clip_grad=self.grad_clip, accumulative_counts=self.cumulative_iters)


@HOOKS.register_module()
class Fp16OptimizerHook(OptimizerHook):
    """`OptimizerHook` in mixed precision: the forward pass under autocast, the loss scaled.

    On a GPU that is float16, on a CPU, which needs no scaling, bfloat16.

    Args:
        grad_clip: See `OptimizerHook`.
        coalesce: Without meaning: gradients are exchanged by `DistributedDataParallel`.
        bucket_size_mb: Without meaning, for the same reason.
        loss_scale: A number, 'dynamic', or arguments of `torch.amp.GradScaler`.
        distributed: Without meaning, for the same reason.
        **kwargs: Arguments of `OptimizerHook`.
    """

    accumulated = 1

    def __init__(
        self,
        grad_clip: Mapping[str, Any] | None = None,
        coalesce: bool = True,
        bucket_size_mb: int = -1,
        loss_scale: float | str | Mapping[str, Any] = 512.0,
        distributed: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(grad_clip, **kwargs)
        self.loss_scale = loss_scale

    def wrapped(self, optimizer: Any) -> OptimWrapper:
        """See `OptimizerHook`."""
        return AmpOptimWrapper(
            loss_scale=self.loss_scale,
            optimizer=optimizer,
            clip_grad=self.grad_clip,
            accumulative_counts=self.accumulated,
        )


@HOOKS.register_module()
class GradientCumulativeFp16OptimizerHook(Fp16OptimizerHook):
    """`Fp16OptimizerHook` with a step for every `cumulative_iters` iterations."""

    def __init__(self, cumulative_iters: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accumulated = cumulative_iters
