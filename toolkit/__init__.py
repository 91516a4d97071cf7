"""toolkit: a config-file-driven training toolkit for PyTorch.

The names of `toolkit.config`, `fileio`, `logging`, `registry` and `utils` are found here too, as in
``from toolkit import Config, load``; each is imported at its first use.
"""

from __future__ import annotations

import importlib
from typing import Any

from toolkit.version import __version__

__all__ = ["__version__"]

_SHARED = ("config", "utils", "fileio", "registry", "logging")


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        for package in _SHARED:
            module = importlib.import_module(f"{__name__}.{package}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
