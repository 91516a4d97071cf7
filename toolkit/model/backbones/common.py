"""What backbones share: how they start, and what of them doesn't train."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint
from typing_extensions import Self

from toolkit.model.base_module import BaseModule, InitCfg
from toolkit.utils import BuildError

# Kaiming for convolutions, 1 for norms.
CONV_NORM_INIT: list[dict[str, Any]] = [
    {"type": "Kaiming", "layer": "Conv2d"},
    {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
]


def backbone_init(pretrained: str | None, init_cfg: InitCfg, default: InitCfg = None) -> InitCfg:
    """The `init_cfg` of a backbone that also takes `pretrained`, the older way to name a checkpoint.

    Args:
        pretrained: A checkpoint, or None.
        init_cfg: What was given as `init_cfg`.
        default: Where neither is given.

    Raises:
        BuildError: Both are given.
    """
    if pretrained is not None and init_cfg is not None:
        raise BuildError(f"set pretrained ({pretrained!r}) or init_cfg of a backbone, not both")
    if pretrained is not None:
        return {"type": "Pretrained", "checkpoint": pretrained}
    return default if init_cfg is None else init_cfg


def freeze(modules: Iterable[nn.Module]) -> None:
    """Put modules into evaluation mode and keep their parameters from training."""
    for module in modules:
        module.eval()
        for param in module.parameters():
            param.requires_grad = False


def norms_to_eval(module: nn.Module) -> None:
    """Keep the running statistics of all batch norms in a module."""
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()


class PartlyFrozen(BaseModule):
    """Base of backbones that keep some stages, or the statistics of their norms, from training.

    Attributes:
        norm_eval: Whether batch norms keep their running statistics while training.
    """

    norm_eval = False

    def _freeze_stages(self) -> None:
        """Freeze the stages that don't train; none here."""

    def train(self, mode: bool = True) -> Self:
        """Change the mode; frozen stages, and with `norm_eval` all batch norms, stay in evaluation."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            norms_to_eval(self)
        return self


def maybe_recomputed(function: Callable[[Tensor], Tensor], x: Tensor, with_cp: bool) -> Tensor:
    """``function(x)``; with `with_cp` its activations are computed again in the backward pass."""
    if with_cp and torch.is_grad_enabled() and x.requires_grad:
        return checkpoint(function, x, use_reentrant=False)
    return function(x)


def drop_path_rates(largest: float, count: int) -> list[float]:
    """Probabilities that rise evenly from 0 to `largest`, one a block."""
    return torch.linspace(0, largest, count, device="cpu").tolist()
