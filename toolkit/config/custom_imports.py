"""The imports that a config asks for, made when the user's program says so and not by reading."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from toolkit.config.origin import origin_of
from toolkit.utils.errors import ConfigError

logger = logging.getLogger(__name__)

# Projects whose registered names are ours as well.
_STOOD_IN_FOR = ("mmengine", "mmcv", "mmdet", "mmpretrain", "mmcls")


def _stood_in_for(name: str, error: ImportError) -> bool:
    """Whether the whole project of a module is absent, and this one takes its place."""
    project = name.partition(".")[0]
    return project in _STOOD_IN_FOR and isinstance(error, ModuleNotFoundError) and error.name == project


def import_custom_modules(cfg: Mapping[str, Any] | Any) -> list[ModuleType]:
    """Import what ``custom_imports = dict(imports=[...], allow_failed_imports=False)`` names.

    Modules of OpenMMLab's projects, such as ``mmpretrain.models``, are skipped where the project is not
    installed: what importing them would register is found here.

    Reading a config never does this; the Runner and the command line do, before they build.

    Args:
        cfg: a config.

    Returns:
        The imported modules.

    Raises:
        ConfigError: if a module can't be imported and ``allow_failed_imports`` is not set.
    """
    wanted = cfg.get("custom_imports")
    if not wanted:
        return []
    place = origin_of(cfg, "custom_imports")
    names = wanted.get("imports") if isinstance(wanted, Mapping) else None
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ConfigError(
            f"{place}: custom_imports is dict(imports=['package.module', ...], allow_failed_imports=False), "
            f"not {wanted!r}"
        )
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError as error:
            message = (
                f"{place}: custom_imports names {name!r}, which can't be imported: {error}. Python looks in "
                f"{', '.join(path or '.' for path in sys.path)}; put its folder into PYTHONPATH."
            )
            if _stood_in_for(name, error):
                logger.info("%s: %s is not installed and not needed: its names are found here", place, name)
                continue
            if not wanted.get("allow_failed_imports", False):
                raise ConfigError(message) from error
            warnings.warn(message, stacklevel=2)
    return modules
