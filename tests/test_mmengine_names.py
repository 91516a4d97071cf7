"""`docs/mmengine.md` has every public name of MMEngine, and what it says of each is so."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from toolkit.utils import get_object_from_string

ROOT = Path(__file__).resolve().parents[1]
# Module by module, the names in the `__all__` of MMEngine 0.10.7.
NAMES: dict[str, list[str]] = json.loads((ROOT / "tests" / "mmengine_names.json").read_text())
SECTION = re.compile(r"^## (\S+)\n\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| (.*) \|$", re.MULTILINE)
DOC = {
    module: dict(ROW.findall(body))
    for module, body in SECTION.findall((ROOT / "docs" / "mmengine.md").read_text(encoding="utf-8"))
}
MAY_BE_LEFT_OUT = "left out: "


def ours(module: str) -> Any:
    """Our module of the same place; None where there is none."""
    try:
        return importlib.import_module(module.replace("mmengine", "toolkit", 1))
    except ModuleNotFoundError:
        return None


def test_the_table_has_all_names_and_no_others() -> None:
    assert {module: sorted(rows) for module, rows in DOC.items()} == NAMES


@pytest.mark.parametrize("module", NAMES)
def test_what_the_table_says_is_so(module: str) -> None:
    for name, cell in DOC[module].items():
        home = module.replace("mmengine", "toolkit", 1)
        if cell.startswith(MAY_BE_LEFT_OUT):
            assert len(cell) > len(MAY_BE_LEFT_OUT) + 5, f"{module}.{name}: no reason"
            assert not hasattr(ours(module), name), f"{module}.{name} is there: say so in docs/mmengine.md"
            continue
        renamed = cell.startswith("renamed: ")
        dotted = re.match(r"(?:renamed: )?`([\w.]+)`", cell)
        assert dotted is not None, f"{module}.{name}: {cell!r}"
        assert get_object_from_string(dotted[1]) is not None, f"{module}.{name}: {dotted[1]} is not there"
        assert renamed or dotted[1] == f"{home}.{name}"


def test_the_top_level_has_what_mmengines_has() -> None:
    toolkit = importlib.import_module("toolkit")
    for module in ("config", "fileio", "logging", "registry", "utils"):
        for name, cell in DOC[f"mmengine.{module}"].items():
            if not cell.startswith(MAY_BE_LEFT_OUT):
                assert getattr(toolkit, name) is getattr(ours(f"mmengine.{module}"), name)
    with pytest.raises(AttributeError):
        _ = toolkit.no_such_name
