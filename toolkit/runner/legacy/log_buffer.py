"""The numbers of the last iterations, as MMCV's hooks know them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch


class LogBuffer:
    """Keeps numbers with the samples that they are means of, and averages the last ones.

    Tensors stay where they are until an average is asked for.

    Attributes:
        val_history: The values of each name.
        n_history: How many samples each value is the mean of.
        output: What was averaged last, floats by name; hooks add to it what is to be logged.
        ready: Whether `output` waits to be logged.
    """

    def __init__(self) -> None:
        self.val_history: OrderedDict[str, list[Any]] = OrderedDict()
        self.n_history: OrderedDict[str, list[int]] = OrderedDict()
        self.output: OrderedDict[str, Any] = OrderedDict()
        self.ready = False

    def clear(self) -> None:
        """Forget everything."""
        self.val_history.clear()
        self.n_history.clear()
        self.clear_output()

    def clear_output(self) -> None:
        """Forget the last average."""
        self.output.clear()
        self.ready = False

    def update(self, vars: Mapping[str, Any], count: int = 1) -> None:
        """Add a value for each name.

        Args:
            vars: Numbers, or tensors of one.
            count: The samples that they are the means of.
        """
        for name, value in vars.items():
            kept = value.detach() if isinstance(value, torch.Tensor) else value
            self.val_history.setdefault(name, []).append(kept)
            self.n_history.setdefault(name, []).append(count)

    def average(self, n: int = 0) -> None:
        """Put the means of the last `n` values, weighted by their samples, into `output`; 0 takes all."""
        for name, values in self.val_history.items():
            counts = self.n_history[name][-n:]
            numbers = [float(value) for value in values[-n:]]
            total = sum(counts)
            weighted = sum(value * count for value, count in zip(numbers, counts, strict=True))
            self.output[name] = weighted / total if total else 0.0
        self.ready = True
