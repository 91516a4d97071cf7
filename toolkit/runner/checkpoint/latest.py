"""Finding the newest checkpoint that is good."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.fileio import is_url
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.runner.checkpoint.writing import LATEST_NAME
from toolkit.utils.errors import CheckpointError


def find_latest_checkpoint(path: str | os.PathLike[str]) -> str | None:
    """The checkpoint that ``last_checkpoint`` in a folder names; None if there is no such file.

    A work dir that was moved is fine: if the named path is gone, the same name in `path` is taken.
    """
    folder = Path(path)
    try:
        named = (folder / LATEST_NAME).read_text().strip()
    except OSError:
        return None
    moved = folder / Path(named).name
    if not is_url(named) and not os.path.exists(named) and moved.exists():
        return str(moved)
    return named


def read_latest_checkpoint(
    path: str | os.PathLike[str], warn: Callable[[str], None], *, trusted: bool = False
) -> tuple[str, dict[str, Any]] | None:
    """Read the newest good checkpoint of a folder from which a run can go on.

    That is the one which ``last_checkpoint`` names; where it is damaged or gone, this is reported, and the
    one written before it is used, and so on.

    Args:
        path: The work dir.
        warn: Called with a message for each one that can't be used.
        trusted: See `read_checkpoint`.

    Returns:
        The path and the content, or None if there is no checkpoint in the folder.

    Raises:
        CheckpointError: There are some, but none is good.
    """
    folder = Path(path)
    problems: list[str] = []
    for candidate in _newest_first(folder):
        try:
            checkpoint = read_checkpoint(candidate, trusted=trusted)
        except CheckpointError as error:
            problems.append(str(error))
            warn(f"can't resume from {Path(candidate).name}: {error}; trying the one before it")
            continue
        if "optimizer" in checkpoint:  # the best ones, and published ones, hold weights only
            return candidate, checkpoint
    if problems:
        listed = "\n  ".join(problems)
        raise CheckpointError(f"{folder} holds no good checkpoint to resume from:\n  {listed}")
    return None


def _newest_first(folder: Path) -> list[str]:
    files = sorted(folder.glob("*.pth"), key=lambda file: (file.stat().st_mtime_ns, file.name), reverse=True)
    found = [str(file) for file in files]
    named = find_latest_checkpoint(folder)
    if named is None:
        return found
    return [named, *(file for file in found if os.path.realpath(file) != os.path.realpath(named))]
