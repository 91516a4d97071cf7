"""The history of one number that is logged, and its statistics over windows."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from toolkit.utils import did_you_mean

Statistic = Callable[..., Any]

_EMPTY = "the history is empty: nothing was logged yet"
# Windows up to this length are summed in Python.
_SHORT = 100
_ONE = array("q", [1])


class HistoryBuffer:
    """Values in the order they came, each with the count it stands for.

    A value with `count` n is the sum over n samples, so that a mean divides by the sum of the counts.

    Args:
        log_history: Values to begin with.
        count_history: Their counts; empty means 1 each.
        max_length: How many of the newest values are kept.
    """

    _statistics_methods: ClassVar[dict[str, Statistic]] = {}

    def __init__(
        self,
        log_history: Sequence[float] = (),
        count_history: Sequence[int] = (),
        max_length: int = 1_000_000,
    ) -> None:
        counts = count_history if len(count_history) else [1] * len(log_history)
        if len(counts) != len(log_history):
            raise ValueError(f"{len(log_history)} values but {len(counts)} counts were given")
        if max_length < 1:
            raise ValueError(f"max_length is at least 1, got {max_length}")
        self.max_length = max_length
        # Arrays of machine numbers: a tenth of a list's memory over a long run, and quick to append to.
        self._values = array("d", log_history[-max_length:])
        self._counts = array("q", counts[-max_length:])

    def __len__(self) -> int:
        return min(len(self._values), self.max_length)

    def update(self, log_val: float, count: int = 1) -> None:
        """Appends `log_val`, the sum over `count` samples.

        Raises:
            TypeError: `log_val` is no number.
        """
        self.extend([log_val], [count])

    def extend(self, log_vals: Sequence[float], counts: Sequence[int] | None = None) -> None:
        """Appends several values; without `counts` each stands for one sample."""
        self._values.extend(log_vals)
        self._counts.extend(_ONE * len(log_vals) if counts is None else counts)
        # Cut now and then only: deleting from the front moves all that stays.
        if len(self._values) >= 2 * self.max_length:
            del self._values[: -self.max_length]
            del self._counts[: -self.max_length]

    @property
    def data(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Copies of the kept values (N,) and of their counts (N,)."""
        return self.window()

    def window(self, size: int | None = None) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Copies of the last `size` values (N,) and of their counts (N,); all of them by default."""
        size = len(self) if size is None else min(size, len(self))
        start = len(self._values) - size
        values, counts = self._values[start:], self._counts[start:]
        return np.frombuffer(values, dtype=np.float64), np.frombuffer(counts, dtype=np.int64)

    def newest(self, size: int) -> Sequence[float]:
        """A copy of the last `size` values, for what is quicker on a few plain numbers than with numpy."""
        return self._values[max(len(self._values) - min(size, self.max_length), 0) :]

    @classmethod
    def register_statistics(cls, method: Statistic) -> Statistic:
        """Decorator that makes `method(buffer, *args, **kwargs)` callable by its name in `statistics`."""
        cls._statistics_methods[method.__name__] = method
        return method

    def statistics(self, method_name: str, *args: Any, **kwargs: Any) -> Any:
        """The statistic called `method_name`: 'mean', 'min', 'max', 'current' or a registered one.

        Raises:
            KeyError: No such statistic.
        """
        methods = self._statistics_methods
        if method_name not in methods:
            raise KeyError(
                f"no statistic {method_name!r}{did_you_mean(method_name, methods)}; "
                f"there are: {', '.join(methods)}"
            )
        return methods[method_name](self, *args, **kwargs)

    def mean(self, window_size: int | None = None) -> float:
        """The mean over the last `window_size` values, all of them by default; NaN where there are none."""
        if window_size is not None and window_size <= _SHORT:
            # At each log point, for each number: a short sum is quicker than a numpy array is made.
            newest = self.newest(window_size)
            count = sum(self._counts[len(self._counts) - len(newest) :])
            return sum(newest) / count if count else float("nan")
        values, counts = self.window(window_size)
        return float(values.sum() / counts.sum()) if len(values) else float("nan")

    def max(self, window_size: int | None = None) -> float:
        """The largest of the last `window_size` values."""
        return float(self._some(window_size).max())

    def min(self, window_size: int | None = None) -> float:
        """The smallest of the last `window_size` values."""
        return float(self._some(window_size).min())

    def current(self) -> float:
        """The newest value."""
        if not self._values:
            raise ValueError(_EMPTY)
        return self._values[-1]

    def _some(self, window_size: int | None) -> npt.NDArray[np.float64]:
        values, _ = self.window(window_size)
        if not len(values):
            raise ValueError(_EMPTY)
        return values


for _method in (HistoryBuffer.mean, HistoryBuffer.max, HistoryBuffer.min, HistoryBuffer.current):
    HistoryBuffer.register_statistics(_method)
