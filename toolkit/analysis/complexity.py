"""Parameters, multiply-adds, FLOPs and activations of a model, in total and by module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from toolkit.analysis.counting import WorkCounter, counting
from toolkit.analysis.tables import architecture, readable, table
from toolkit.utils import ConfigError


@dataclass(frozen=True)
class Complexity:
    """What a forward pass costs. Each attribute is a dict by the module's name; '' is the whole model.

    Attributes:
        params: Numbers of parameters; one that two modules share counts once in what holds both.
        flops: Floating-point operations, two a multiply-add.
        activations: Numbers put out by convolutions, matrix products and attention.
    """

    params: dict[str, int]
    flops: dict[str, int]
    activations: dict[str, int]

    @property
    def multiply_adds(self) -> dict[str, int]:
        """Multiply-adds: half of the FLOPs. Papers and MMEngine often call these FLOPs."""
        return {name: flops // 2 for name, flops in self.flops.items()}


def measure_complexity(model: nn.Module, inputs: Any, **kwargs: Any) -> Complexity:
    """Runs a model once, in evaluation mode and without gradients, and counts.

    Args:
        model: Any module.
        inputs: A tensor, a tuple of positional arguments, or a dict of arguments by name.
        **kwargs: Further arguments of the forward pass.
    """
    counter = run_counted(model, inputs, **kwargs)
    names = module_names(model)
    return Complexity(
        params=parameter_count(model),
        flops={name: found.total() for name, found in summed(counter.flops, names).items()},
        activations={name: found.total() for name, found in summed(counter.activations, names).items()},
    )


def run_counted(model: nn.Module, inputs: Any, **kwargs: Any) -> WorkCounter:
    """Runs a model once and counts; for arguments see `measure_complexity`."""
    args: tuple[Any, ...] = ()
    if isinstance(inputs, Mapping):
        kwargs = {**inputs, **kwargs}
    else:
        args = inputs if isinstance(inputs, tuple) else (inputs,)
    with counting(model) as counter:
        model(*args, **kwargs)
    return counter


def module_names(model: nn.Module) -> list[str]:
    """The names of all modules; '' is the whole model."""
    return [name for name, _ in model.named_modules(remove_duplicate=False)]


def parameter_count(model: nn.Module) -> dict[str, int]:
    """Numbers of parameters by the name of module or parameter; '' is the whole model."""
    found = {
        name: sum(param.numel() for param in module.parameters())
        for name, module in model.named_modules(remove_duplicate=False)
    }
    found.update((name, param.numel()) for name, param in model.named_parameters(remove_duplicate=False))
    return found


def parameter_count_table(model: nn.Module, max_depth: int = 3) -> str:
    """A table of the numbers of parameters by module, down to `max_depth` names deep."""
    return table(model, {"parameters": parameter_count(model)}, max_depth)


def get_model_complexity_info(
    model: nn.Module,
    input_shape: tuple[int, ...] | tuple[tuple[int, ...], ...] | None = None,
    inputs: Tensor | tuple[Any, ...] | Mapping[str, Any] | None = None,
    show_table: bool = True,
    show_arch: bool = True,
) -> dict[str, Any]:
    """What a model costs, as numbers and as text.

    Args:
        model: Any module; it runs where its parameters are.
        input_shape: Shape of the input without the batch, such as ``(3, 224, 224)``; or a tuple of shapes for
            several inputs. They are filled with random numbers, in a batch of one.
        inputs: The inputs themselves instead: a tensor, a tuple of arguments, or a dict of arguments by name.
        show_table: Whether `out_table` is made: a table by module.
        show_arch: Whether `out_arch` is made: the model as it prints, with the numbers of each module.

    Returns:
        `params`, `multiply_adds`, `flops` and `activations`; each as readable text with the ending `_str`;
        `out_table` and `out_arch`, empty where not asked for. `flops` are two a multiply-add; what MMEngine
        calls `flops` are `multiply_adds` here (it counts norms besides).

    Raises:
        ConfigError: Both of `input_shape` and `inputs` are given, or neither, or the shape is none.
    """
    if (input_shape is None) == (inputs is None):
        given = "both" if inputs is not None else "neither"
        raise ConfigError(
            f"give one of input_shape and inputs, got {given}; such as input_shape=(3, 224, 224)"
        )
    if input_shape is not None:
        inputs = _random_inputs(model, input_shape)
    found = measure_complexity(model, inputs)
    parts = {
        "params": found.params,
        "multiply_adds": found.multiply_adds,
        "flops": found.flops,
        "activations": found.activations,
    }
    columns = {
        "parameters": parts["params"],
        "multiply-adds": parts["multiply_adds"],
        "FLOPs": parts["flops"],
    }
    columns["activations"] = parts["activations"]
    info: dict[str, Any] = {}
    for name, numbers in parts.items():
        info[name] = numbers[""]
        info[f"{name}_str"] = readable(numbers[""])
    info["out_table"] = f"\n{table(model, columns, max_depth=3)}" if show_table else ""
    info["out_arch"] = f"\n{architecture(model, columns)}" if show_arch else ""
    return info


def _random_inputs(model: nn.Module, shape: Any) -> tuple[Tensor, ...]:
    shapes = [shape] if _is_shape(shape) else shape
    if not isinstance(shapes, (tuple, list)) or not shapes or not all(_is_shape(one) for one in shapes):
        raise ConfigError(
            "input_shape is a tuple of numbers such as (3, 224, 224), or a tuple of such tuples; "
            f"got {shape!r}"
        )
    like = next(model.parameters(), torch.empty(0))
    return tuple(torch.randn(1, *one, device=like.device, dtype=like.dtype) for one in shapes)


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, (tuple, list)) and all(isinstance(size, int) for size in shape) and bool(shape)


def summed(counts: Mapping[str, Counter[str]], names: list[str]) -> dict[str, Counter[str]]:
    """The counts of each module by operation, with those of the modules in it."""
    total: dict[str, Counter[str]] = {name: Counter() for name in names}
    for name, found in counts.items():
        parts = name.split(".") if name else []
        for depth in range(len(parts) + 1):
            total[".".join(parts[:depth])].update(found)
    return total
