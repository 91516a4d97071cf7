"""`ApexOptimWrapper`: settings of NVIDIA's Apex, by PyTorch's own mixed precision."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from toolkit.optim.amp import AmpOptimWrapper
from toolkit.optim.wrapper import OptimWrapper
from toolkit.registry import OPTIM_WRAPPERS
from toolkit.utils import ConfigError, did_you_mean

_LEVELS = ("O0", "O1", "O2", "O3")
# What autocast does whether it is asked for or not, by Apex's name for it.
_GIVEN = {"patch_torch_functions": True, "keep_batchnorm_fp32": True, "master_weights": True}


@OPTIM_WRAPPERS.register_module()
class ApexOptimWrapper(AmpOptimWrapper):
    """Takes Apex's settings and trains with `AmpOptimWrapper`; NVIDIA has ended `apex.amp` in its favour.

    Weights stay float32; there is no casting of the whole model.

    Args:
        opt_level: ``O0``, no mixed precision; ``O1``; or ``O2``, which is trained as ``O1``.
        loss_scale: 'dynamic', or a number, also as text.
        enabled: False is ``O0``.
        cast_model_type: None only.
        patch_torch_functions: None, or True as autocast does.
        keep_batchnorm_fp32: None, or True as autocast does.
        master_weights: None, or True as autocast does.
        cast_model_outputs: None only.
        num_losses: Has no effect: one scale serves all.
        verbosity: Has no effect.
        min_loss_scale: None only.
        max_loss_scale: Has no effect: a scale that grows too large is halved at the first overflow.
        **kwargs: Arguments of `OptimWrapper`.

    Raises:
        ConfigError: An argument asks for what autocast does not do, or is out of range.
    """

    def __init__(
        self,
        opt_level: str = "O1",
        loss_scale: float | str | None = "dynamic",
        enabled: bool = True,
        cast_model_type: Any = None,
        patch_torch_functions: bool | None = None,
        keep_batchnorm_fp32: bool | str | None = None,
        master_weights: bool | None = None,
        cast_model_outputs: Any = None,
        num_losses: int = 1,
        verbosity: int = 1,
        min_loss_scale: float | None = None,
        max_loss_scale: float | None = 2.0**24,
        **kwargs: Any,
    ) -> None:
        if opt_level not in _LEVELS:
            raise ConfigError(
                f"opt_level {opt_level!r} is none of {', '.join(_LEVELS)}{did_you_mean(opt_level, _LEVELS)}"
            )
        if opt_level == "O3":
            raise ConfigError("opt_level 'O3', training in float16 alone, is not offered: take 'O1'")
        asked = dict(
            cast_model_type=cast_model_type,
            cast_model_outputs=cast_model_outputs,
            min_loss_scale=min_loss_scale,
            patch_torch_functions=patch_torch_functions,
            keep_batchnorm_fp32=keep_batchnorm_fp32,
            master_weights=master_weights,
        )
        for name, value in asked.items():
            if value is not None and str(value) != str(_GIVEN.get(name)):
                raise ConfigError(
                    f"{name}={value!r} is a setting of Apex that autocast doesn't have: leave it out"
                )
        self._mixed = enabled and opt_level != "O0"
        what = f"opt_level {opt_level!r} is PyTorch's autocast" if self._mixed else "training is in float32"
        warnings.warn(f"Apex is not used: {what}; AmpOptimWrapper says the same", stacklevel=2)
        super().__init__(loss_scale=_number(loss_scale) if self._mixed else {"enabled": False}, **kwargs)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of `AmpOptimWrapper`; with ``O0`` that of `OptimWrapper`."""
        with super().optim_context(model) if self._mixed else OptimWrapper.optim_context(self, model):
            yield


def _number(loss_scale: float | str | None) -> float | str:
    """What `AmpOptimWrapper` takes."""
    if loss_scale is None:
        return "dynamic"
    try:
        return float(loss_scale)
    except ValueError:
        return loss_scale
