"""What preflight finds, and the error that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from toolkit.config import origin_of
from toolkit.utils import ToolkitError


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        message: What, and what would be right.
        path: Dotted path in the config, or an empty string.
        source: File and line, or command-line option; empty where it is unknown.
    """

    message: str
    path: str = ""
    source: str = ""

    @classmethod
    def at(cls, container: Any, key: Any, path: str, message: str) -> Problem:
        """A problem with ``container[key]``, shown under the dotted path `path`."""
        return cls(message, path, str(origin_of(container, key) or ""))

    def __str__(self) -> str:
        place = " ".join(part for part in (self.source, self.path) if part)
        return f"{place}: {self.message}" if place else self.message


class PreflightError(ToolkitError, ValueError):
    """Everything that is wrong with a config or its data.

    Args:
        problems: What was found, or a message.
        title: What was looked at, for the first line.

    Attributes:
        problems: What was found, each once.
    """

    def __init__(self, problems: Iterable[Problem] | str = (), title: str = "the config") -> None:
        if isinstance(problems, str):  # rebuilt from its message, as worker processes do
            self.problems: list[Problem] = []
            super().__init__(problems)
            return
        self.problems = unique(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in {title}:"
        super().__init__("\n".join([head, *(f"  {one}" for one in self.problems)]))


def unique(problems: Iterable[Problem]) -> list[Problem]:
    """Problems without repetitions: a value used twice in a config is wrong once.

    Two of one file, line and message are one, though their dotted paths differ.
    """
    seen: dict[tuple[str, str], Problem] = {}
    for one in problems:
        seen.setdefault((one.source or one.path, one.message), one)
    return list(seen.values())
