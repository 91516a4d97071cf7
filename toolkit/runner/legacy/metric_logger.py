"""maskrcnn-benchmark's running numbers of a training."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

import torch


class SmoothedValue:
    """A series of numbers, of which the last `window_size` are looked at, or all."""

    def __init__(self, window_size: int = 20) -> None:
        self.deque: deque[float] = deque(maxlen=window_size)
        self.total = 0.0
        self.count = 0

    def update(self, value: float) -> None:
        """Add a number."""
        self.deque.append(value)
        self.count += 1
        self.total += value

    @property
    def median(self) -> float:
        """The (lower) median of the window."""
        return torch.tensor(list(self.deque), dtype=torch.float64).median().item()

    @property
    def avg(self) -> float:
        """The mean of the window."""
        return sum(self.deque) / len(self.deque)

    @property
    def global_avg(self) -> float:
        """The mean of all."""
        return self.total / self.count


class MetricLogger:
    """Series by name; its text has the median, and in brackets the mean, of each.

    Args:
        delimiter: Between the series.
    """

    def __init__(self, delimiter: str = "\t") -> None:
        self.meters: defaultdict[str, SmoothedValue] = defaultdict(SmoothedValue)
        self.delimiter = delimiter

    def update(self, **values: Any) -> None:
        """Add a number, or a tensor of one, to each series.

        Raises:
            TypeError: A value is neither.
        """
        for name, value in values.items():
            number = value.item() if isinstance(value, torch.Tensor) else value
            if not isinstance(number, (int, float)):
                raise TypeError(f"{name} must be a number or a tensor of one, got {type(number).__name__}")
            self.meters[name].update(number)

    def __getattr__(self, name: str) -> SmoothedValue:
        meters = self.__dict__.get("meters", {})
        if name in meters:
            return meters[name]  # type: ignore[no-any-return]
        raise AttributeError(f"{type(self).__name__} has no series {name!r}; it has: {', '.join(meters)}")

    def __str__(self) -> str:
        parts = (f"{name}: {one.median:.4f} ({one.global_avg:.4f})" for name, one in self.meters.items())
        return self.delimiter.join(parts)
