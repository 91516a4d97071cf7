"""A live progress bar beneath the log lines, where a terminal is looked at."""

from __future__ import annotations

import atexit
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import rich.style
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

# rich numbers styles by Python's global generator, some versions at each redraw: in the midst of transforms
# that draw from it too. A generator of its own for rich.
for _name in ("getrandbits", "randint"):
    if hasattr(rich.style, _name):
        setattr(rich.style, _name, getattr(random.Random(), _name))

# Redraws a second. One costs about a millisecond, which training on the same core would miss.
_REFRESH = 2
_BAR_WIDTH = 28


class _Console(Console):
    """Never hides the cursor, so that a killed run leaves a usable terminal behind."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class LiveProgress:
    """One line that shows where a loop is. It asks for the position when it redraws: a step costs nothing.

    While it is shown, what is written to `sys.stdout` and `sys.stderr` appears above it.

    Args:
        console: Where to draw; by default the standard output, and only if that is a terminal.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or _Console()
        self.enabled = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live: Live | None = None
        self._title: Callable[[], str] = str
        self._position: Callable[[], int] = int
        self._total = 0
        self._notes: dict[str, str] = {}
        self._started = (0.0, 0)

    @property
    def shown(self) -> bool:
        """Whether the bar is on the screen now."""
        return self._live is not None

    def show(self, title: Callable[[], str], position: Callable[[], int], total: int) -> None:
        """Puts the bar on the screen, or another in its place.

        Args:
            title: Gives what is gone through, such as 'Epoch 1/12'.
            position: Gives how many steps are done.
            total: How many there are.
        """
        if not self.enabled:
            return
        self._title, self._position, self._total = title, position, total
        self._notes = {}
        self._started = (time.perf_counter(), position())
        if self._live is None:
            self._live = Live(
                get_renderable=self._draw, console=self.console, refresh_per_second=_REFRESH, transient=True
            )
            self._live.start(refresh=True)
            atexit.register(self.close)

    def note(self, notes: Mapping[str, str]) -> None:
        """Sets what is shown behind the bar, such as the loss."""
        self._notes = dict(notes)

    def close(self) -> None:
        """Takes the bar off the screen."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
            atexit.unregister(self.close)

    def _draw(self) -> Any:
        done = self._position()
        began, first = self._started
        speed = (done - first) / max(time.perf_counter() - began, 1e-9)
        grid = Table.grid(padding=(0, 1))
        cells: list[Any] = [
            Text(self._title(), style="bold"),
            ProgressBar(self._total, done, width=_BAR_WIDTH),
        ]
        cells.append(Text(f"{done}/{self._total}"))
        if speed:
            cells.append(Text(f"{speed:.1f} it/s" if speed >= 1 else f"{1 / speed:.1f} s/it", style="cyan"))
        cells += [Text.assemble((f"{name} ", "dim"), value) for name, value in self._notes.items()]
        grid.add_row(*cells)
        return grid


def _leave_to_parent() -> None:
    """In a forked data worker: write straight out; a thread that isn't there may hold the bar's lock."""
    sys.stdout = getattr(sys.stdout, "rich_proxied_file", sys.stdout)
    sys.stderr = getattr(sys.stderr, "rich_proxied_file", sys.stderr)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
