"""Names of the classes of large data sets, which lie beside this module as files."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "classes"


@cache
def class_names(name: str) -> tuple[str, ...]:
    """The names of the classes of a data set, in the order of their labels.

    Args:
        name: 'lvis_v0.5', 'lvis_v1', 'objects365_v1' or 'objects365_v2'.
    """
    return tuple(json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))
