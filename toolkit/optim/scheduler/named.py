"""The schedules bound to the learning rate and to the momentum."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from toolkit.optim.scheduler import kinds
from toolkit.optim.scheduler.base import _ParamScheduler
from toolkit.optim.scheduler.one_cycle import OneCycleParamScheduler
from toolkit.optim.scheduler.plateau import ReduceOnPlateauParamScheduler
from toolkit.registry import PARAM_SCHEDULERS
from toolkit.utils import ConfigError


class _Bound(_ParamScheduler):
    """Fixes `param_name`, and shows the other arguments of the schedule, for checks and help."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # The mixins pass on what they are given: the first other class tells what that may be.
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base) and base.__bases__ != (_Bound,))
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        shown = [parameter for parameter in parameters if parameter.name not in ("self", "param_name")]
        cls.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]


class LRSchedulerMixin(_Bound):
    """Binds a schedule to the learning rate."""

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(optimizer, "lr", *args, **kwargs)


class MomentumSchedulerMixin(_Bound):
    """Binds a schedule to the momentum, or in optimizers such as Adam to the first of the betas.

    Raises:
        ConfigError: The optimizer has neither.
    """

    def __init__(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        self.use_betas = "momentum" not in optimizer.defaults
        if self.use_betas:
            if "betas" not in optimizer.defaults:
                raise ConfigError(
                    f"{type(self).__name__} needs an optimizer with momentum or betas, got one with "
                    f"{', '.join(optimizer.defaults)}"
                )
            for group in optimizer.param_groups:
                group["momentum"] = group["betas"][0]
        super().__init__(optimizer, "momentum", *args, **kwargs)

    def _set_values(self, values: Sequence[Any]) -> None:
        super()._set_values(values)
        if self.use_betas:
            for group in self.optimizer.param_groups:
                group["betas"] = (group["momentum"], *group["betas"][1:])


@PARAM_SCHEDULERS.register_module()
class ConstantLR(LRSchedulerMixin, kinds.ConstantParamScheduler):
    """`ConstantParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class ConstantMomentum(MomentumSchedulerMixin, kinds.ConstantParamScheduler):
    """`ConstantParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingLR(LRSchedulerMixin, kinds.CosineAnnealingParamScheduler):
    """`CosineAnnealingParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class CosineAnnealingMomentum(MomentumSchedulerMixin, kinds.CosineAnnealingParamScheduler):
    """`CosineAnnealingParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartLR(LRSchedulerMixin, kinds.CosineRestartParamScheduler):
    """`CosineRestartParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class CosineRestartMomentum(MomentumSchedulerMixin, kinds.CosineRestartParamScheduler):
    """`CosineRestartParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class ExponentialLR(LRSchedulerMixin, kinds.ExponentialParamScheduler):
    """`ExponentialParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class ExponentialMomentum(MomentumSchedulerMixin, kinds.ExponentialParamScheduler):
    """`ExponentialParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class LinearLR(LRSchedulerMixin, kinds.LinearParamScheduler):
    """`LinearParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class LinearMomentum(MomentumSchedulerMixin, kinds.LinearParamScheduler):
    """`LinearParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class MultiStepLR(LRSchedulerMixin, kinds.MultiStepParamScheduler):
    """`MultiStepParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class MultiStepMomentum(MomentumSchedulerMixin, kinds.MultiStepParamScheduler):
    """`MultiStepParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class OneCycleLR(LRSchedulerMixin, OneCycleParamScheduler):
    """`OneCycleParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class PolyLR(LRSchedulerMixin, kinds.PolyParamScheduler):
    """`PolyParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class PolyMomentum(MomentumSchedulerMixin, kinds.PolyParamScheduler):
    """`PolyParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauLR(LRSchedulerMixin, ReduceOnPlateauParamScheduler):
    """`ReduceOnPlateauParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class ReduceOnPlateauMomentum(MomentumSchedulerMixin, ReduceOnPlateauParamScheduler):
    """`ReduceOnPlateauParamScheduler` of the momentum."""


@PARAM_SCHEDULERS.register_module()
class StepLR(LRSchedulerMixin, kinds.StepParamScheduler):
    """`StepParamScheduler` of the learning rate."""


@PARAM_SCHEDULERS.register_module()
class StepMomentum(MomentumSchedulerMixin, kinds.StepParamScheduler):
    """`StepParamScheduler` of the momentum."""
