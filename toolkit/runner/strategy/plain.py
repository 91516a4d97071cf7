"""Strategies with whole models: on one device, or copied over several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from toolkit.registry import STRATEGIES
from toolkit.runner import build
from toolkit.runner.strategy.base import BaseStrategy
from toolkit.utils.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from toolkit.runner.options import Options


@STRATEGIES.register_module()
class SingleDeviceStrategy(BaseStrategy):
    """One process with one device."""

    def wrap_model(self, model: nn.Module, device: torch.device, options: Options) -> nn.Module:
        """The model on its device."""
        return build.wrap_model(model, device, False, options.model_wrapper_cfg)


@STRATEGIES.register_module()
class DDPStrategy(BaseStrategy):
    """Several processes with a copy of the model each, which exchange gradients.

    Args:
        model_wrapper: ``type`` (`MMDistributedDataParallel` by default) and arguments of the wrapper; the
            same as ``model_wrapper_cfg`` of a config.
        sync_bn: ``torch`` (or ``mmcv``, which means the same) turns batch norms into synchronised ones; the
            same as ``sync_bn`` of a config.
        **kwargs: See `BaseStrategy`.

    Raises:
        ConfigError: The config and the strategy both say what one of these is.
    """

    distributed = True
    wrapper_type = "MMDistributedDataParallel"

    def __init__(
        self, *, model_wrapper: Mapping[str, Any] | None = None, sync_bn: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model_wrapper, self.sync_bn = model_wrapper, sync_bn

    def wrap_model(self, model: nn.Module, device: torch.device, options: Options) -> nn.Module:
        """The model in its wrapper; see `toolkit.runner.build.wrap_model`."""
        given = options.model_wrapper_cfg
        wrapper = self._one_of("model_wrapper", self.model_wrapper, "model_wrapper_cfg", given)
        sync_bn = self._one_of("sync_bn", self.sync_bn, "sync_bn", options.sync_bn)
        unused = options.find_unused_parameters
        return build.wrap_model(model, device, True, wrapper, sync_bn, unused, self.wrapper_type)

    def _one_of(self, name: str, own: Any, key: str, given: Any) -> Any:
        if own is not None and given is not None:
            raise ConfigError(
                f"the config has {key}={given!r}, and {type(self).__name__} {name}={own!r}, which mean the "
                "same; give one of them"
            )
        return given if own is None else own
