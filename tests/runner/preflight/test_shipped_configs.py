"""Every config of this repository passes; only its data may be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config import Config
from toolkit.runner.preflight import PreflightError, check

CONFIGS = Path(__file__).parents[3] / "configs"
FILES = sorted(path for path in CONFIGS.glob("*/*.py") if path.parent.name != "_base_")


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_is_wrong(path):
    cfg = Config.fromfile(str(path))
    try:
        check(cfg, "train" if cfg.get("train_cfg") is not None else "test")
    except PreflightError as error:
        others = [str(one) for one in error.problems if not one.message.startswith("there is no '")]
        assert not others, "\n".join(others)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_typo_anywhere_in_the_model_is_seen(path):
    cfg = Config.fromfile(str(path), overrides={"model.backbone.frozen_stage": 1})
    with pytest.raises(PreflightError, match=r"--cfg-options model\.backbone: \w+ got 'frozen_stage'"):
        check(cfg, "infer")
