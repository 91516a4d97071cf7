"""The guide's example runs, and the names that it gives exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "migration.md"
ROW = re.compile(r"^\| (`.+) \| (`.+) \|$", re.MULTILINE)


def test_the_runner_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(
        r"<!-- example: legacy runner -->\n```python\n(.*?)```", GUIDE.read_text(), re.DOTALL
    )
    names: dict[str, Any] = {"__name__": "guide"}
    exec(code, names)
    (hook,) = [one for one in names["runner"].hooks if type(one).__name__ == "LossHook"]
    assert len(hook.losses) == 4
    assert (tmp_path / "work_dirs" / "old" / "latest.pth").exists()


def test_the_names_of_the_guide_exist() -> None:
    rows = ROW.findall(GUIDE.read_text())
    assert len(rows) > 10
    for old, new in rows:
        place = re.findall(r"`([\w.]+)`", new)[0]
        for name in re.findall(r"`([\w.]+)`", old):
            short = name.rpartition(".")[2]
            try:
                module = importlib.import_module(place)
            except ModuleNotFoundError:
                module = importlib.import_module(place.rpartition(".")[0])
            # torchvision writes RoIAlign
            known = hasattr(module, short) or short.lower() in {each.lower() for each in dir(module)}
            assert known, f"{place} has no {short}"
