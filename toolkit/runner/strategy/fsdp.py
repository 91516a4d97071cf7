"""The strategy for models of which each device holds a part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from toolkit.logging import print_log
from toolkit.model import turn_on_activation_checkpointing
from toolkit.model.fsdp_options import named_function
from toolkit.registry import STRATEGIES
from toolkit.runner.checkpoint.weights import unwrapped
from toolkit.runner.strategy.plain import DDPStrategy
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

if TYPE_CHECKING:
    import torch

    from toolkit.runner.options import Options

_WHOLE = ("full", "FULL_STATE_DICT")
_IN_PARTS = ("local", "LOCAL_STATE_DICT", "SHARDED_STATE_DICT")


@STRATEGIES.register_module()
class FSDPStrategy(DDPStrategy):
    """Several processes, which share one model's weights, gradients and optimizer state.

    Args:
        model_wrapper: Arguments of `MMFullyShardedDataParallel`, such as ``auto_wrap_policy``; or another
            ``type`` with its own.
        skip_init_weights: Leave out `init_weights`, for a model whose weights all come from a checkpoint.
        state_dict_cfg: How checkpoints hold the model and the optimizer. They are whole in any case
            (``full``): one file, which loads everywhere. MMEngine's other settings are taken, and mean that.
        activation_checkpointing: ``check_fn`` says of which modules activations are computed again instead of
            kept: a function of a module, its name under FUNCTIONS, or a dict with that name as ``type`` and
            arguments. The same as ``activation_checkpointing`` of a config, which takes names of modules.
        **kwargs: See `DDPStrategy`.

    Raises:
        ConfigError: One of these is of another form.
    """

    wrapper_type = "MMFullyShardedDataParallel"

    def __init__(
        self,
        *,
        model_wrapper: Mapping[str, Any] | None = None,
        skip_init_weights: bool = False,
        state_dict_cfg: str | Mapping[str, Any] = "full",
        activation_checkpointing: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(model_wrapper=model_wrapper, **kwargs)
        self.skip_init_weights = skip_init_weights
        _check_state_dict_cfg(state_dict_cfg)
        settings = dict(activation_checkpointing or {})
        self.check_fn = named_function("activation_checkpointing.check_fn", settings.pop("check_fn", None))
        if settings or (activation_checkpointing is not None and self.check_fn is None):
            raise ConfigError(
                "activation_checkpointing of FSDPStrategy is a dict with check_fn, a function of a module; "
                f"got {activation_checkpointing!r}"
            )

    def wrap_model(self, model: nn.Module, device: torch.device, options: Options) -> nn.Module:
        """The model, sharded; see `toolkit.model.MMFullyShardedDataParallel`."""
        chosen = [
            name for name, part in model.named_modules() if name and self.check_fn and self.check_fn(part)
        ]
        wrapped = super().wrap_model(model, device, options)
        if chosen:
            turn_on_activation_checkpointing(unwrapped(wrapped), chosen)
        return wrapped

    def init_weights(self, model: nn.Module) -> None:
        """Initialise the weights, unless they are to come from a checkpoint."""
        if not self.skip_init_weights:
            super().init_weights(model)


def _check_state_dict_cfg(value: str | Mapping[str, Any]) -> None:
    kind = value.get("state_dict_type", "full") if isinstance(value, Mapping) else value
    kind = getattr(kind, "name", kind)
    known = (*_WHOLE, *_IN_PARTS)
    if kind not in known:
        raise ConfigError(
            f"state_dict_cfg of FSDPStrategy is {kind!r}, which is none of {', '.join(known)}"
            f"{did_you_mean(str(kind), known)}"
        )
    if kind in _IN_PARTS:
        print_log(
            f"state_dict_cfg={kind!r}: checkpoints are whole in any case, one file instead of one a process",
            "current",
        )
