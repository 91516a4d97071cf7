"""Calls in child processes, several at a time, each with limits of time and memory."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

_FORK = multiprocessing.get_context("fork")  # children share what the parent has imported


@dataclass
class _Job:
    key: Any
    process: Any
    answer: connection.Connection
    deadline: float


def run_all(
    function: Callable[..., Any],
    calls: Iterable[tuple[Any, tuple[Any, ...]]],
    jobs: int,
    seconds: float,
    gigabytes: float,
) -> Iterator[tuple[Any, Any, str | None]]:
    """Call a function in a process of its own for each set of arguments.

    Args:
        function: What is called; its result must be picklable.
        calls: A key and the arguments of each call.
        jobs: How many run at a time.
        seconds: Time limit of a call.
        gigabytes: How much address space a child may have.

    Yields:
        The key, the result, and why there is none (or None), in the order of completion.
    """
    waiting = iter(calls)
    running: dict[connection.Connection, _Job] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < jobs:
                call = next(waiting, None)
                more = call is not None
                if call is not None:
                    job = _start(function, *call, seconds, gigabytes)
                    running[job.answer] = job
            if running:
                yield from _collect(running, seconds)
    finally:
        for job in running.values():
            job.process.kill()


def _start(function: Callable[..., Any], key: Any, args: Any, seconds: float, gigabytes: float) -> _Job:
    ours, theirs = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=_child, args=(theirs, function, args, gigabytes), daemon=True)
    process.start()
    theirs.close()
    return _Job(key, process, ours, time.monotonic() + seconds)


def _child(answer: connection.Connection, function: Callable[..., Any], args: Any, gigabytes: float) -> None:
    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answer.send(function(*args))


def _collect(
    running: dict[connection.Connection, _Job], seconds: float
) -> Iterator[tuple[Any, Any, str | None]]:
    wait = min(job.deadline for job in running.values()) - time.monotonic()
    for ready in connection.wait(list(running), max(wait, 0)):
        job = running.pop(ready)  # type: ignore[call-overload]
        try:
            result, reason = job.answer.recv(), None
        except EOFError:
            job.process.join()
            result, reason = None, f"its process ended with code {job.process.exitcode}"
        job.process.join()
        yield job.key, result, reason
    for job in [job for job in running.values() if job.deadline <= time.monotonic()]:
        del running[job.answer]
        job.process.kill()
        job.process.join()
        yield job.key, None, f"not done within {seconds:g} s"
