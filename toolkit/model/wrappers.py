"""Model wrappers for training on several devices."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from toolkit.model.steps import take_step
from toolkit.model.utils import detect_anomalous_params
from toolkit.registry import MODEL_WRAPPERS

MODEL_WRAPPERS.register_module(module=DistributedDataParallel)
MODEL_WRAPPERS.register_module(module=DataParallel)


def is_model_wrapper(model: nn.Module) -> bool:
    """Whether `model` wraps another one in its attribute `module`, as `DistributedDataParallel` does."""
    return isinstance(model, (DataParallel, DistributedDataParallel)) or _is_registered(
        type(model), MODEL_WRAPPERS
    )


def _is_registered(cls: type, registry: Any) -> bool:
    wrappers = tuple(kind for kind in registry.module_dict.values() if isinstance(kind, type))
    return issubclass(cls, wrappers) or any(
        _is_registered(cls, child) for child in registry.children.values()
    )


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
