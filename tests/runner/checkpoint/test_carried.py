from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.runner import config_of, save_checkpoint
from toolkit.utils.errors import CheckpointError

CFG = "model = dict(type='X', depth=18)\nwork_dir = '/old'\ndevice = 'cuda'\nresume = True\nbatch = [1, 2]\n"


def test_the_config_comes_back_without_what_was_of_that_run(tmp_path: Path) -> None:
    save_checkpoint({"state_dict": {}, "meta": {"cfg": CFG}}, tmp_path / "x.pth")
    cfg = config_of(
        str(tmp_path / "x.pth"), overrides=["model.depth=50", "batch.0=7"], extra={"device": "cpu"}
    )
    assert (cfg.model.type, cfg.model.depth, list(cfg.batch), cfg.device) == ("X", 50, [7, 2], "cpu")
    assert "resume" not in cfg
    assert "work_dir" not in cfg


def test_none_is_told(tmp_path: Path) -> None:
    save_checkpoint({"state_dict": {}}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"x\.pth carries no config"):
        config_of(str(tmp_path / "x.pth"))
