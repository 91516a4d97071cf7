"""Stopwatches."""

from __future__ import annotations

import time
from types import TracebackType


class TimerError(Exception):
    """A timer is asked before it was started."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class Timer:
    """A stopwatch; as a context manager it prints how long its block took.

    Args:
        start: Start at once.
        print_tmpl: What the context manager prints, with the seconds put in; ``{:.3f}`` by default.
    """

    def __init__(self, start: bool = True, print_tmpl: str | None = None) -> None:
        self._is_running = False
        self.print_tmpl = print_tmpl or "{:.3f}"
        self._begin = self._last = 0.0
        if start:
            self.start()

    @property
    def is_running(self) -> bool:
        """Whether the timer was started."""
        return self._is_running

    def __enter__(self) -> Timer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        print(self.print_tmpl.format(self.since_last_check()))
        self._is_running = False

    def start(self) -> None:
        """Start, or, where it runs already, begin a new lap."""
        self._last = time.perf_counter()
        if not self._is_running:
            self._begin = self._last
            self._is_running = True

    def since_start(self) -> float:
        """Seconds since the start; begins a new lap.

        Raises:
            TimerError: The timer does not run.
        """
        self._lap()
        return self._last - self._begin

    def since_last_check(self) -> float:
        """Seconds since this or `since_start` was last called; begins a new lap.

        Raises:
            TimerError: The timer does not run.
        """
        return self._lap()

    def _lap(self) -> float:
        if not self._is_running:
            raise TimerError("the timer does not run: call start() first")
        before, self._last = self._last, time.perf_counter()
        return self._last - before


_timers: dict[str, Timer] = {}


def check_time(timer_id: str) -> float:
    """Seconds since the last call with the same name; 0 at the first."""
    if timer_id not in _timers:
        _timers[timer_id] = Timer()
        return 0.0
    return _timers[timer_id].since_last_check()
