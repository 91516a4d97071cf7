"""Names that are found in torch without being listed: optimizers and layers.

A resolver is a function from a name to a class, or None. One that can list its names for suggestions has a
second function beside it, named ``<resolver>_names``.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from toolkit.utils import BuildError

_OF_DEEPSPEED = {
    **dict.fromkeys(("DeepSpeedCPUAdam", "FusedAdam"), "deepspeed.ops.adam"),
    "FusedLamb": "deepspeed.ops.lamb",
    **dict.fromkeys(("OnebitAdam", "OnebitLamb", "ZeroOneAdam"), "deepspeed.runtime.fp16.onebit"),
}


def _is_subclass(value: Any, base: type[Any]) -> bool:
    return inspect.isclass(value) and issubclass(value, base) and value is not base


def _find(module_name: str, base_name: str, name: str) -> type[Any] | None:
    module = importlib.import_module(module_name)
    value = vars(module).get(name)
    return value if _is_subclass(value, getattr(module, base_name)) else None


def _names(module_name: str, base_name: str) -> list[str]:
    module = importlib.import_module(module_name)
    base = getattr(module, base_name)
    return sorted(name for name, value in vars(module).items() if _is_subclass(value, base))


def torch_optimizer(name: str) -> type[Any] | None:
    """The optimizer of `torch.optim` with this name."""
    return _find("torch.optim", "Optimizer", name)


def deepspeed_optimizer(name: str) -> type[Any] | None:
    """The optimizer of DeepSpeed with this name.

    Raises:
        BuildError: There is one, but DeepSpeed is not installed, or in a version without it.
    """
    if name not in _OF_DEEPSPEED:
        return None
    try:
        found: type[Any] = getattr(importlib.import_module(_OF_DEEPSPEED[name]), name)
    except ModuleNotFoundError as error:
        raise BuildError(
            f"the optimizer {name} is one of DeepSpeed's, which can't be imported ({error}): install it with "
            "pip install 'toolkit[deepspeed]', in a version that has this optimizer"
        ) from error
    return found


def deepspeed_optimizer_names() -> list[str]:
    """Names of DeepSpeed's optimizers."""
    return list(_OF_DEEPSPEED)


def torch_optimizer_names() -> list[str]:
    """Names of all optimizers of the installed torch."""
    return _names("torch.optim", "Optimizer")


def torch_layer(name: str) -> type[Any] | None:
    """The layer of `torch.nn` with this name."""
    return _find("torch.nn", "Module", name)


def torch_layer_names() -> list[str]:
    """Names of all layers of the installed torch."""
    return _names("torch.nn", "Module")
