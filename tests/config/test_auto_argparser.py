"""Config.auto_argparser: an option a value of the config on the command line; and Config.diff."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from toolkit.config import Config

TEXT = """
lr = 0.1
model = dict(type='ResNet', depth=50, stages=(3, 4), frozen=True, parts=[dict(a=1)], init=None)
"""


def test_options_change_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.py"
    path.write_text(TEXT)
    monkeypatch.setattr(
        sys,
        "argv",
        ["train", str(path), "--model.depth", "18", "--model.stages", "1", "2", "--no-model.frozen"],
    )
    parser, cfg = Config.auto_argparser("Train.")
    assert parser.description == "Train."
    given = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    assert given == {"config": str(path), "model.depth": 18, "model.stages": [1, 2], "model.frozen": False}
    given.pop("config")
    cfg.merge_from_dict(given)
    assert (cfg.model.depth, cfg.model.frozen, cfg.lr) == (18, False, 0.1)


def test_a_config_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train"])
    with pytest.raises(SystemExit):
        Config.auto_argparser()


def test_a_difference_of_files_and_configs(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(TEXT)
    changed = Config.fromfile(tmp_path / "x.py", overrides={"model.depth": 18})
    found = Config.diff(tmp_path / "x.py", changed)
    assert "- model.depth = 50" in found
    assert "+ model.depth = 18" in found
    assert Config.diff(changed, changed) == ""
