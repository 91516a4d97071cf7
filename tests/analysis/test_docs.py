"""The examples of docs/analysis.md, docs/metrics.md and docs/tracking.md do what these say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from toolkit.cli import main
from toolkit.config import Config
from toolkit.registry import VISBACKENDS
from toolkit.runner.preflight import slots
from toolkit.runner.preflight.walk import Walker

DOCS = Path(__file__).resolve().parents[2] / "docs"


def example(page: str, name: str) -> str:
    found = re.search(
        rf"<!-- example: {re.escape(name)} -->\n```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL
    )
    assert found
    return found[1]


def test_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DOCS.parent)
    command = re.search(r"```bash\ntoolkit (.*?)\n", (DOCS / "analysis.md").read_text())
    assert command
    # A fifth of the size: the numbers are tested elsewhere.
    arguments = shlex.split(command[1].replace("800 1344", "160 160"))
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "FasterRCNN at 3 x 160 x 160: 41.75M parameters" in result.output


def test_the_snippet_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    code = example("analysis.md", "resnet50")
    exec(code, {})
    first = capsys.readouterr().out.splitlines()[0]
    assert f"# {first}" in code


@pytest.mark.parametrize(
    ("page", "name", "key", "slot"),
    [
        ("tracking.md", "file backends.py", "visualizer", slots.VISUALIZER),
        ("metrics.md", "file torchmetric.py", "val_evaluator", slots.METRIC),
    ],
)
def test_the_configs_pass_the_checks(
    page: str, name: str, key: str, slot: slots.Slot, tmp_path: Path
) -> None:
    path = tmp_path / "config.py"
    path.write_text(example(page, name))
    cfg = Config.fromfile(path)
    walker = Walker()
    walker.visit({"type": "Visualizer", **cfg[key]} if key == "visualizer" else cfg[key], slot, key, cfg, key)
    assert walker.problems == []


def test_the_table_names_every_backend() -> None:
    listed = set(re.findall(r"^\| `(\w+VisBackend)`", (DOCS / "tracking.md").read_text(), re.MULTILINE))
    VISBACKENDS.get("LocalVisBackend")
    assert listed == {name for name in VISBACKENDS.module_dict if name.endswith("VisBackend")}
