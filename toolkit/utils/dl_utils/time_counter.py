"""`TimeCounter`: how long a function takes on average."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])


class TimeCounter:
    """Prints the mean time of a function (as a decorator) or of a block (as a context manager).

    A tag has one counter: naming it again goes on with the same.

    Args:
        log_interval: Print after every so many runs.
        warmup_interval: The first run that counts, from 1.
        with_sync: Wait for the GPU before the clock is read.
        tag: The name that is printed; that of the function by default, needed for a block.
        logger: Logs instead of printing.

    Raises:
        ValueError: `warmup_interval` is less than 1.
    """

    instance_dict: ClassVar[dict[str, TimeCounter]] = {}

    def __new__(
        cls,
        log_interval: int = 1,
        warmup_interval: int = 1,
        with_sync: bool = True,
        tag: str | None = None,
        logger: logging.Logger | None = None,
    ) -> TimeCounter:
        """The counter of `tag`, a new one where there is none."""
        if warmup_interval < 1:
            raise ValueError(f"runs count from 1, got warmup_interval={warmup_interval}")
        if tag in cls.instance_dict:
            return cls.instance_dict[str(tag)]
        made = super().__new__(cls)
        made.log_interval, made.warmup_interval = log_interval, warmup_interval
        made.with_sync, made.tag, made.logger = with_sync, tag, logger
        made._count, made._total, made._begin = 0, 0.0, 0.0
        if tag is not None:
            cls.instance_dict[tag] = made
        return made

    log_interval: int
    warmup_interval: int
    with_sync: bool
    tag: str | None
    logger: logging.Logger | None
    _count: int
    _total: float
    _begin: float

    def __call__(self, fn: F) -> F:
        """Time each call of a function."""
        if self.tag is None:
            self.tag = fn.__name__

        @functools.wraps(fn)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return timed  # type: ignore[return-value]

    def __enter__(self) -> TimeCounter:
        if self.tag is None:
            raise ValueError("a block has no name: pass tag, as in TimeCounter(tag='forward')")
        self._begin = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.print_time(self._now() - self._begin)

    def print_time(self, elapsed: float) -> None:
        """Count a run of so many seconds, and print the mean when it is time."""
        self._count += 1
        if self._count < self.warmup_interval:
            return
        self._total += elapsed
        if self._count % self.log_interval == 0:
            mean = 1000 * self._total / (self._count - self.warmup_interval + 1)
            text = f"[{self.tag}]-time per run averaged in the past {self._count} runs: {mean:.1f} ms"
            if self.logger is None:
                print(text)
            else:
                self.logger.info(text)

    def _now(self) -> float:
        if self.with_sync and torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()
