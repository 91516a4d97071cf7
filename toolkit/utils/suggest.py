"""Nearest valid choices for a mistyped name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, or None where none is near. Case is ignored at first."""
    pool = list(dict.fromkeys(choices))
    folded = {choice.lower(): choice for choice in reversed(pool)}
    if name.lower() in folded:
        return folded[name.lower()]
    found = difflib.get_close_matches(name, pool, n=1, cutoff=0.6)
    if not found:
        found = [folded[low] for low in difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)]
    return found[0] if found else None


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """A clause such as ``; did you mean 'depth'?``, or an empty string where nothing is near."""
    guess = nearest(name, choices)
    return f"; did you mean {guess!r}?" if guess is not None else ""
