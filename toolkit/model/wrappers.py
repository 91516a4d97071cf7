"""Model wrappers for training on several devices."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from toolkit.model.steps import take_step
from toolkit.model.utils import detect_anomalous_params
from toolkit.registry import MODEL_WRAPPERS, Registry

# What torch 2.14 calls `broadcast_buffers`, of which it warns.
_SAYS_FORWARD_SYNC = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters

MODEL_WRAPPERS.register_module(module=DistributedDataParallel)
MODEL_WRAPPERS.register_module(module=DataParallel)


def is_model_wrapper(model: nn.Module, registry: Registry = MODEL_WRAPPERS) -> bool:
    """Whether `model` wraps another one in its attribute `module`, as `DistributedDataParallel` does.

    Args:
        model: A model.
        registry: The wrappers, with those of its children.
    """
    return _is_registered(type(model), registry)


def _is_registered(cls: type, registry: Registry) -> bool:
    wrappers = tuple(kind for kind in registry.module_dict.values() if isinstance(kind, type))
    return issubclass(cls, wrappers) or any(
        _is_registered(cls, child) for child in registry.children.values()
    )


def own_class(module: nn.Module) -> type[nn.Module]:
    """The class of a module as its author named it: sharding puts one of its own before it."""
    first, *others = type(module).__mro__
    return others[1] if others[0].__name__ == "FSDPModule" else first


@MODEL_WRAPPERS.register_module()
class MMDistributedDataParallel(DistributedDataParallel):
    """`DistributedDataParallel` with the steps that the loops call.

    The forward pass of `train_step` goes through DDP, so that gradients are synchronised; everything else is
    asked of the wrapped model.

    Args:
        module: A `BaseModel`.
        detect_anomalous_params: After each step, log the parameters that the loss doesn't depend on. Slow.
        **kwargs: Arguments of `torch.nn.parallel.DistributedDataParallel`.
    """

    def __init__(self, module: nn.Module, detect_anomalous_params: bool = False, **kwargs: Any) -> None:
        if _SAYS_FORWARD_SYNC and kwargs.get("broadcast_buffers") is not None:
            kwargs.setdefault("forward_sync_buffers", kwargs.pop("broadcast_buffers"))
        super().__init__(module=module, **kwargs)
        self.detect_anomalous_params = detect_anomalous_params

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Tensor]:
        """One optimisation step. See `BaseModel.train_step`."""
        loss, log_vars = take_step(self, self.module, data, optim_wrapper)
        if self.detect_anomalous_params:
            detect_anomalous_params(loss, model=self)
        return log_vars

    def val_step(self, data: Any) -> Any:
        """Predictions of the wrapped model; nothing is synchronised."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """Predictions of the wrapped model; nothing is synchronised."""
        return self.module.test_step(data)
