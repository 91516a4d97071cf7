"""What is registered, as numbers and names."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from toolkit.registry import root
from toolkit.registry.registry import Registry

logger = logging.getLogger(__name__)


def traverse_registry_tree(registry: Registry, verbose: bool = True) -> list[dict[str, Any]]:
    """The names in all registries of a kind, from the root down.

    Args:
        registry: Any registry of the kind.
        verbose: Log how many there are in each scope.

    Returns:
        For each registry a dict with ``num_modules``, ``scope``, and a list of names by the folder, such as
        ``toolkit/hooks``, of what they stand for. Members whose modules nothing has imported aren't counted.
    """
    found = []
    for one in registry.root.walk():
        info: dict[str, Any] = {"num_modules": len(one.module_dict), "scope": one.scope}
        for name, value in one.module_dict.items():
            info.setdefault("/".join(value.__module__.split(".")[:-1]), []).append(name)
        if verbose:
            logger.info("%d names in the registry %r of scope %r", len(one.module_dict), one.name, one.scope)
        found.append(info)
    return found


def count_registered_modules(save_path: str | Path | None = None, verbose: bool = True) -> dict[str, Any]:
    """The names in all root registries and those below them, after importing what they list.

    Args:
        save_path: A folder to write ``modules_statistic_results.json`` into.
        verbose: See `traverse_registry_tree`.

    Returns:
        ``scan_date``, and ``registries``: what `traverse_registry_tree` says, by the registry's name.
    """
    registries = {name: value for name, value in vars(root).items() if isinstance(value, Registry)}
    for registry in registries.values():
        for one in registry.walk():
            one.import_from_location()
    counted: dict[str, Any] = {
        "scan_date": datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
        "registries": {name: traverse_registry_tree(one, verbose) for name, one in registries.items()},
    }
    if save_path is not None:
        target = Path(save_path, "modules_statistic_results.json")
        target.write_text(json.dumps(counted, indent=2), encoding="utf-8")
    return counted
