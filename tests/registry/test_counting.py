"""Counting what is registered."""

from __future__ import annotations

import json
from pathlib import Path

from toolkit.registry import HOOKS, Registry, count_registered_modules, traverse_registry_tree


def test_a_tree_is_counted_from_its_root() -> None:
    parent = Registry("counted", scope="above")
    child = Registry("counted", parent=parent, scope="below")

    @parent.register_module()
    class One: ...

    child.register_module(module=Path)
    folder = "/".join(One.__module__.split(".")[:-1])
    expected = [
        {"num_modules": 1, "scope": "above", folder: ["One"]},
        {"num_modules": 1, "scope": "below", "/".join(Path.__module__.split(".")[:-1]): ["Path"]},
    ]
    assert traverse_registry_tree(parent, verbose=False) == expected
    assert traverse_registry_tree(child) == expected


def test_all_of_ours_are_counted(tmp_path: Path) -> None:
    counted = count_registered_modules(tmp_path, verbose=False)
    assert json.loads((tmp_path / "modules_statistic_results.json").read_text()) == counted
    hooks = counted["registries"]["HOOKS"][0]
    assert hooks["num_modules"] == len(HOOKS.module_dict)
    assert {"CheckpointHook", "EMAHook", "LoggerHook"} <= set(hooks["toolkit/hooks"])
    assert "DefaultSampler" in counted["registries"]["DATA_SAMPLERS"][0]["toolkit/dataset"]
