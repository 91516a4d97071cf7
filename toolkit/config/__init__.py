"""Configs: reading, inheritance, overrides, origins and dumps. Reading a config runs nobody's code."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from toolkit.config.config_dict import ConfigDict, to_plain
from toolkit.config.config_list import ConfigList
from toolkit.config.lazy import LazyObject
from toolkit.config.origin import Origin, origin_of

if TYPE_CHECKING:
    from toolkit.config.config import Config
    from toolkit.config.custom_imports import import_custom_modules
    from toolkit.config.describe import diff, explain
    from toolkit.config.dict_action import DictAction
    from toolkit.config.marker import read_base
    from toolkit.config.option_values import parse_overrides
    from toolkit.config.paths import config_root
    from toolkit.config.variables import ConfigWarning

__all__ = [
    "Config",
    "ConfigDict",
    "ConfigList",
    "ConfigWarning",
    "DictAction",
    "LazyObject",
    "Origin",
    "config_root",
    "diff",
    "explain",
    "import_custom_modules",
    "origin_of",
    "parse_overrides",
    "read_base",
    "to_plain",
]

# Loaded at the first use, so that importing the package stays fast.
_HOMES = {
    "Config": "config",
    "ConfigWarning": "variables",
    "DictAction": "dict_action",
    "config_root": "paths",
    "diff": "describe",
    "explain": "describe",
    "import_custom_modules": "custom_imports",
    "parse_overrides": "option_values",
    "read_base": "marker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
