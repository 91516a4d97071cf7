"""The examples of docs/inference.md run, and its tables are those of the code."""

from __future__ import annotations

import re
import shutil
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest

from toolkit.infer import BaseInferencer, DetInferencer

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "inference.md").read_text(encoding="utf-8")
EXAMPLE = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", GUIDE, re.DOTALL))


@pytest.mark.parametrize("name", ["functions", "inferencer", "own"])
def test_the_examples_run(
    name: str,
    detector: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(detector.config, "mask_rcnn.py")
    shutil.copy(detector.checkpoint, "mask_rcnn.pth")
    shutil.copytree(detector.images, "images")
    shutil.copy("images/0.png", "demo.png")
    exec(EXAMPLE[name], {})
    shown = {"functions": "('cat', 'dog')", "inferencer": "'counts'", "own": "[0, 0, 0]"}
    assert shown[name] in capsys.readouterr().out


def test_the_tables() -> None:
    arguments = {name for cell in re.findall(r"^\| (`\w+`.*?) \|", GUIDE, re.M) for name in cell.split(", ")}
    listed = {name.strip("`") for name in arguments if re.fullmatch(r"`\w+`", name)}
    call = set(signature(DetInferencer.__call__).parameters) - {"self", "kwargs"}
    assert listed == call
    for name in re.findall(r"^\| `(\w+)\(", GUIDE, re.M):
        assert hasattr(BaseInferencer, name)
