"""`AmpOptimWrapper`: mixed precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.optim.sharded import ShardedScaler, holds_sharded
from toolkit.optim.wrapper import OptimWrapper
from toolkit.registry import OPTIM_WRAPPERS
from toolkit.utils import ConfigError, did_you_mean

_NAMES = ("float16", "bfloat16", "float32", "float64")
_DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in _NAMES}


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(OptimWrapper):
    """Mixed precision: the forward pass under autocast, and for float16 a scaled loss.

    float16 has a narrow range, so its loss is scaled up before backward and the gradients down before the
    step, and a step whose gradients overflow is left out. bfloat16 has float32's range and needs none of
    that.

    Args:
        loss_scale: 'dynamic' adapts the scale as training goes; a number fixes it; a dict gives the arguments
            of `torch.amp.GradScaler`. Without meaning for other dtypes than float16.
        dtype: 'float16', 'bfloat16' or a `torch.dtype`. By default autocast's own: float16 on a GPU, bfloat16
            on a CPU.
        use_fsdp: Scale with the scaler of PyTorch's `FullyShardedDataParallel` (FSDP1). Models in a
            `MMFullyShardedDataParallel` need not be told of.
        **kwargs: Arguments of `OptimWrapper`.

    Raises:
        ConfigError: `dtype` or `loss_scale` is none of these.
    """

    valid_dtypes = _NAMES
    """What `dtype` may be called."""

    def __init__(
        self,
        loss_scale: str | float | Mapping[str, Any] = "dynamic",
        dtype: str | torch.dtype | None = None,
        use_fsdp: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cast_dtype = _dtype(dtype)
        device = self._device_type()
        effective = self.cast_dtype or torch.get_autocast_dtype(device)
        scaled = effective is torch.float16
        self._scale_update_param: float | None = None
        scaler_args: dict[str, Any] = {}
        if isinstance(loss_scale, Mapping):
            scaler_args = dict(loss_scale)
        elif isinstance(loss_scale, (int, float)) and not isinstance(loss_scale, bool):
            scaler_args = {"init_scale": float(loss_scale)}
            self._scale_update_param = float(loss_scale)
        elif loss_scale != "dynamic":
            raise ConfigError(
                f"loss_scale must be 'dynamic', a number or a dict of GradScaler's arguments, got "
                f"{loss_scale!r}"
            )
        sharded = holds_sharded(self.optimizer.param_groups)
        self.loss_scaler = _scaler(device, sharded, use_fsdp, {"enabled": scaled, **scaler_args})

    def _device_type(self) -> str:
        return str(self.optimizer.param_groups[0]["params"][0].device.type)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Compute gradients of the scaled loss."""
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Unscale and clip the gradients, step unless they overflowed, and adapt the scale."""
        if self._clip is not None:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update(self._scale_update_param)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast for the forward pass, within the context of `OptimWrapper`."""
        with super().optim_context(model), torch.autocast(self._device_type(), dtype=self.cast_dtype):
            yield

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, and the scaler's under `loss_scaler`."""
        return {**super().state_dict(), "loss_scaler": self.loss_scaler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave. A state of training without a scaler is taken too."""
        rest = dict(state_dict)
        scaler_state = rest.pop("loss_scaler", None)
        if scaler_state:
            self.loss_scaler.load_state_dict(scaler_state)
        super().load_state_dict(rest)


def _dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in _DTYPES:
        raise ConfigError(
            f"dtype={dtype!r} of AmpOptimWrapper is not one of "
            f"{', '.join(_DTYPES)}{did_you_mean(str(dtype), _DTYPES)}"
        )
    return _DTYPES[dtype]


def _scaler(device: str, sharded: bool, use_fsdp: bool, args: dict[str, Any]) -> Any:
    if sharded:
        return ShardedScaler(device, **args)
    if use_fsdp:
        from torch.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler

        return ShardedGradScaler(**args)
    return torch.amp.GradScaler(device, **args)
