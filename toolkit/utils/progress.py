"""Progress bars on a terminal, for work on a list of things."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import Pool
from shutil import get_terminal_size
from typing import Any, TextIO, TypeVar

from toolkit.utils.timer import Timer

T = TypeVar("T")
R = TypeVar("R")

Tasks = Sequence[T] | tuple[Iterable[T], int]


class ProgressBar:
    """A bar of ``>`` that grows, with speed, time passed and time left.

    Args:
        task_num: Number of steps; without a bar, only counted, where 0.
        bar_width: Its width in characters; less where the terminal is narrow.
        start: Show the empty bar at once.
        file: Where it is written; standard output by default.
    """

    def __init__(
        self, task_num: int = 0, bar_width: int = 50, start: bool = True, file: TextIO | None = None
    ) -> None:
        self.task_num = task_num
        self.bar_width = bar_width
        self.completed = 0
        self.file = sys.stdout if file is None else file
        if start:
            self.start()

    @property
    def terminal_width(self) -> int:
        """Columns of the terminal."""
        return get_terminal_size().columns

    def start(self) -> None:
        """Show the empty bar and start the clock."""
        if self.task_num > 0:
            self._write(f"[{' ' * self.bar_width}] 0/{self.task_num}, elapsed: 0s, ETA:")
        else:
            self._write("completed: 0, elapsed: 0s")
        self.timer = Timer()

    def update(self, num_tasks: int = 1) -> None:
        """Count steps as done.

        Args:
            num_tasks: How many, at least 1.

        Raises:
            ValueError: It is less than 1.
        """
        if num_tasks < 1:
            raise ValueError(f"a progress bar grows by at least 1 step, got num_tasks={num_tasks}")
        self.completed += num_tasks
        elapsed = self.timer.since_start()
        speed = self.completed / elapsed if elapsed > 0 else float("inf")
        if self.task_num <= 0:
            self._write(f"completed: {self.completed}, elapsed: {elapsed:.0f}s, {speed:.1f} tasks/s")
            return
        share = self.completed / self.task_num
        left = elapsed * (1 - share) / share
        counts = f" {self.completed}/{self.task_num}, {speed:.1f} task/s"
        tail = f"{counts}, elapsed: {elapsed:.0f}s, ETA: {left:5.0f}s"
        room = min(self.bar_width, self.terminal_width - len(tail) - 2, int(self.terminal_width * 0.6))
        width = max(2, room)
        marks = min(width, int(width * share))
        self._write(f"\r[{'>' * marks}{' ' * (width - marks)}]{tail}")

    def _write(self, text: str) -> None:
        self.file.write(text)
        self.file.flush()


def _counted(tasks: Any) -> tuple[Iterable[Any], int]:
    """Tasks, and how many there are, from a sequence or from the pair of both."""
    if isinstance(tasks, tuple):
        if len(tasks) == 2 and isinstance(tasks[0], Iterable) and isinstance(tasks[1], int):
            return tasks[0], tasks[1]
        raise TypeError("tasks as a tuple are a pair of an iterable and its length, such as (generator, 10)")
    if isinstance(tasks, Sequence):
        return tasks, len(tasks)
    raise TypeError(
        f"tasks are a sequence, or a tuple of an iterable and its length; got a {type(tasks).__name__}"
    )


def track_iter_progress(tasks: Tasks[T], bar_width: int = 50, file: TextIO | None = None) -> Iterator[T]:
    """The tasks one by one, with a progress bar.

    Args:
        tasks: A sequence, or the pair of an iterable and its length.
        bar_width: See `ProgressBar`.
        file: See `ProgressBar`.

    Raises:
        TypeError: `tasks` are something else.
    """
    items, count = _counted(tasks)
    bar = ProgressBar(count, bar_width, file=file)
    for item in items:
        yield item
        bar.update()
    bar.file.write("\n")


def track_progress(
    func: Callable[..., R], tasks: Tasks[T], bar_width: int = 50, file: TextIO | None = None, **kwargs: Any
) -> list[R]:
    """What a function makes of each task, with a progress bar.

    Args:
        func: Called with each task, and with `kwargs`.
        tasks: See `track_iter_progress`.
        bar_width: See `ProgressBar`.
        file: See `ProgressBar`.
        **kwargs: Passed to `func`.
    """
    return [func(item, **kwargs) for item in track_iter_progress(tasks, bar_width, file)]


def track_parallel_progress(
    func: Callable[[T], R],
    tasks: Tasks[T],
    nproc: int,
    initializer: Callable[..., None] | None = None,
    initargs: tuple[Any, ...] | None = None,
    bar_width: int = 50,
    chunksize: int = 1,
    skip_first: bool = False,
    keep_order: bool = True,
    file: TextIO | None = None,
) -> list[R]:
    """`track_progress` in several processes.

    Args:
        func: A function that can be pickled.
        tasks: See `track_iter_progress`.
        nproc: Number of processes.
        initializer: Called in each process first.
        initargs: Its arguments.
        bar_width: See `ProgressBar`.
        chunksize: Tasks that a process takes at once.
        skip_first: Start the clock after the first chunk of each process, which pays for the start.
        keep_order: Results in the order of the tasks; otherwise as they come.
        file: See `ProgressBar`.

    Raises:
        TypeError: `tasks` or `initargs` are of another type.
    """
    items, count = _counted(tasks)
    if initargs is not None and not isinstance(initargs, tuple):
        raise TypeError(f"initargs is a tuple, got a {type(initargs).__name__}")
    skipped = nproc * chunksize if skip_first else 0
    bar = ProgressBar(count - skipped, bar_width, start=not skip_first, file=file)
    results: list[R] = []
    with Pool(nproc, initializer, initargs or ()) as pool:
        run = pool.imap if keep_order else pool.imap_unordered
        for result in run(func, items, chunksize):
            results.append(result)
            if len(results) > skipped:
                bar.update()
            elif len(results) == skipped:
                bar.start()
    bar.file.write("\n")
    return results


def _unpacked(job: tuple[Callable[..., Any], Any]) -> Any:
    function, task = job
    return function(*task) if isinstance(task, tuple) else function(task)


def track_progress_rich(
    func: Callable[..., R],
    tasks: Iterable[Any] = (),
    task_num: int | None = None,
    nproc: int = 1,
    chunksize: int = 1,
    description: str = "Processing",
    color: str = "blue",
) -> list[R]:
    """What a function makes of each task, with a progress bar of `rich`.

    Args:
        func: Called with each task; a tuple is unpacked into its arguments. It must be picklable
            where `nproc` is more than 1.
        tasks: The tasks; may be empty where `task_num` is given, and `func` then takes no argument.
        task_num: Their number, where it can't be told from `tasks`.
        nproc: Number of processes; 1 stays in this one.
        chunksize: Tasks that a process takes at once.
        description: What stands before the bar.
        color: The colour of the description.

    Raises:
        TypeError: `tasks` can't be iterated over.
        ValueError: Neither `tasks` nor `task_num` says how much there is to do.
    """
    from rich.progress import track

    if not isinstance(tasks, Iterable):
        raise TypeError(f"tasks are iterated over; got a {type(tasks).__name__}")
    if isinstance(tasks, Sequence):
        if not tasks and task_num is None:
            raise ValueError("an empty list of tasks needs task_num, the number of calls without arguments")
        tasks = tasks or [()] * (task_num or 0)
        task_num = len(tasks) if task_num is None else task_num
    jobs = ((func, task) for task in tasks)
    title = f"[{color}]{description}"
    if nproc <= 1:
        return [_unpacked(job) for job in track(jobs, title, total=task_num)]
    with Pool(nproc) as pool:
        return list(track(pool.imap(_unpacked, jobs, chunksize), title, total=task_num))
