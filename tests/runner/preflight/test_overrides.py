"""Overrides that nobody reads."""

from __future__ import annotations

import pytest

from toolkit.runner.preflight.overrides import override_problems

CFG = {
    "model": {
        "type": "X",
        "backbone": {"type": "Y", "depth": 1, "dpeth": 2},
        "test_cfg": {"score_thr": 1, "socre_thr": 2, "wild": 3},
    },
    "work_dir": "w",
    "my_norm": {"mean": 1, "maen": 2},
    "hooks_": [{"a": 1}],
    "wrok_dir": "v",
}
CLOSED = {"model", "model.backbone"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("wrok_dir", "wrok_dir: nothing reads this key; did you mean 'work_dir'?"),
        ("xyzzy", "xyzzy: nothing reads this key, and no file of the config has it"),
        ("modle.backbone.depth", "did you mean 'model.backbone.depth'?"),
        ("model.test_cfg.socre_thr", "did you mean 'model.test_cfg.score_thr'?"),
    ],
)
def test_refused(key, said):
    cfg = {**CFG, **({"modle": {"backbone": {"depth": 3}}} if key.startswith("modle") else {})}
    (found,) = override_problems(cfg, [key], CLOSED)
    assert said in str(found)


@pytest.mark.parametrize(
    "key",
    ["launcher", "model.test_cfg.wild", "model.backbone.dpeth", "randomness.seed", "env_cfg.cudnn_benchmark"],
)
def test_let_through(key):
    """Known keys, free settings, and what the walk has checked already."""
    assert list(override_problems(CFG, [key], CLOSED)) == []


def test_through_the_command_line(tmp_path):
    from toolkit.config import Config
    from toolkit.runner.preflight import PreflightError, check

    path = tmp_path / "c.py"
    path.write_text("model = dict(type='PreNet', backbone=dict(type='PreBackbone', depth=1))\n")
    cfg = Config.fromfile(str(path), overrides={"wrk_dir": "x", "model.backbone.dept": 3, "resume": True})
    with pytest.raises(PreflightError) as caught:
        check(cfg, "infer")
    found = sorted(map(str, caught.value.problems))
    assert len(found) == 2, found
    assert "--cfg-options model.backbone: PreBackbone got 'dept'" in found[0]
    assert "did you mean 'work_dir'?" in found[1]
