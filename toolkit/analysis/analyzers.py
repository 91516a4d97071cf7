"""MMEngine's names for what `measure_complexity` counts: analyzers by module and operation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import Self

from toolkit.analysis.complexity import module_names, run_counted, summed
from toolkit.analysis.counting import WorkCounter
from toolkit.utils import did_you_mean


class _Analyzer:
    """Runs a model once, at the first question, and answers by module and operation.

    Args:
        model: Any module.
        inputs: A tensor, or a tuple of positional arguments.
    """

    unit: ClassVar[int] = 1

    def __init__(self, model: nn.Module, inputs: Tensor | tuple[Any, ...]) -> None:
        self._model = model
        self._inputs = inputs

    def _counts(self, counter: WorkCounter) -> Mapping[str, Counter[str]]:
        raise NotImplementedError

    @cached_property
    def _counter(self) -> WorkCounter:
        return run_counted(self._model, self._inputs)

    @cached_property
    def _found(self) -> dict[str, Counter[str]]:
        return summed(self._counts(self._counter), module_names(self._model))

    def total(self, module_name: str = "") -> int:
        """The number of a module, with the modules in it; '' is the whole model.

        Raises:
            KeyError: There is no such module.
        """
        return self.by_operator(module_name).total()

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """The numbers of a module by operation: ``conv``, ``addmm``, ``mm``, ``bmm`` and the like.

        Raises:
            KeyError: There is no such module.
        """
        return self._of(self._found, module_name)

    def by_module(self) -> Counter[str]:
        """The numbers of all modules by name."""
        return Counter({name: found.total() for name, found in self._found.items()})

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """The numbers of all modules by name, and by operation."""
        return {name: Counter(found) for name, found in self._found.items()}

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """How often operations ran in a module that are not counted: norms, activation functions, views.

        Raises:
            KeyError: There is no such module.
        """
        return self._of(summed(self._counter.others, module_names(self._model)), module_name)

    def uncalled_modules(self) -> set[str]:
        """Names of modules that the forward pass did not call."""
        return {name for name, _ in self._model.named_modules()} - self._counter.called

    def copy(self, new_model: nn.Module | None = None, new_inputs: Any = None) -> Self:
        """An analyzer of the same kind for another model, or other inputs."""
        model = self._model if new_model is None else new_model
        return type(self)(model, self._inputs if new_inputs is None else new_inputs)

    def unsupported_ops_warnings(self, enabled: bool) -> Self:
        """Accepted as MMEngine's is, and returns the analyzer; nothing is ever warned of."""
        return self

    uncalled_modules_warnings = unsupported_ops_warnings

    def tracer_warnings(self, mode: str) -> Self:
        """Accepted as MMEngine's is, and returns the analyzer; nothing is traced."""
        return self

    @staticmethod
    def _of(found: Mapping[str, Counter[str]], name: str) -> Counter[str]:
        if name not in found:
            raise KeyError(f"the model has no module {name!r}{did_you_mean(name, found)}")
        return Counter(found[name])


class FlopAnalyzer(_Analyzer):
    """Multiply-adds of convolutions, matrix products and attention, which MMEngine calls FLOPs.

    Args:
        model: Any module.
        inputs: A tensor, or a tuple of positional arguments.

    Examples:
        >>> import torch
        >>> flops = FlopAnalyzer(torch.nn.Linear(10, 3), torch.rand(2, 10))
        >>> flops.total(), flops.by_operator()
        (60, Counter({'addmm': 60}))
    """

    unit = 10**9

    def _counts(self, counter: WorkCounter) -> Mapping[str, Counter[str]]:
        return {
            name: Counter({operation: flops // 2 for operation, flops in found.items()})
            for name, found in counter.flops.items()
        }


class ActivationAnalyzer(_Analyzer):
    """Numbers that convolutions, matrix products and attention put out.

    Args:
        model: Any module.
        inputs: A tensor, or a tuple of positional arguments.
    """

    unit = 10**6

    def _counts(self, counter: WorkCounter) -> Mapping[str, Counter[str]]:
        return counter.activations


def flop_count(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[defaultdict[str, float], Counter[str]]:
    """Multiply-adds of a forward pass by operation, in 10^9; and how often others ran, which don't count."""
    return _in_units(FlopAnalyzer(model, inputs))


def activation_count(
    model: nn.Module, inputs: tuple[Any, ...]
) -> tuple[defaultdict[str, float], Counter[str]]:
    """Activations of a forward pass by operation, in 10^6; and how often others ran, which don't count."""
    return _in_units(ActivationAnalyzer(model, inputs))


def _in_units(analyzer: _Analyzer) -> tuple[defaultdict[str, float], Counter[str]]:
    found = {operation: count / analyzer.unit for operation, count in analyzer.by_operator().items()}
    return defaultdict(float, found), analyzer.unsupported_ops()
