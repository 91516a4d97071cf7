"""`explain` and `diff` say where values come from."""

from pathlib import Path

import pytest

from toolkit.config import Config, diff, explain
from toolkit.utils import ConfigError


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.py").write_text("n = 1\nmodel = dict(depth=n,\n  width=2)\n")
    (tmp_path / "child.py").write_text("_base_ = 'base.py'\nmodel = dict(width=3)\n")
    return Config.fromfile("child.py", overrides={"model.width": 4})


def test_explain(cfg: Config) -> None:
    text = explain(cfg, "model.width")
    assert text.splitlines() == [
        "model.width = 4",
        "  set at --cfg-options model.width=...",
        "  over what was set at child.py:2",
        "  over what was set at base.py:3",
    ]
    text = explain(cfg, "model.depth")
    assert "set at base.py:2" in text
    assert "read along child.py -> base.py" in text
    assert "computed from n (base.py:1)" in text
    assert "    depth: base.py:2" in explain(cfg, "model")


def test_explain_of_code_and_of_nothing(cfg: Config) -> None:
    cfg.model.depth = 9
    assert "set at set in code" in explain(cfg, "model.depth")
    with pytest.raises(ConfigError, match="did you mean 'depth'"):
        explain(cfg, "model.dpeth")


def test_diff(cfg: Config) -> None:
    other = Config.fromfile("base.py")
    assert diff(cfg, cfg) == ""
    assert diff(cfg, other).splitlines() == [
        "- model.width = 4  (--cfg-options model.width=...)",
        "+ model.width = 2  (base.py:3)",
    ]
    first, second = Config(dict(a=[1, 2], b=1, d=1)), Config(dict(a=[1], c=1, d=1.0))
    assert [line.split("  ")[0] for line in diff(first, second).splitlines()] == [
        "- a.1 = 2", "- b = 1", "- d = 1", "+ d = 1.0", "+ c = 1"
    ]  # fmt: skip
