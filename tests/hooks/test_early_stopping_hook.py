from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from toolkit.hooks import EarlyStoppingHook
from toolkit.utils import ConfigError

Make = Callable[..., Any]


def epochs(make_runner: Make, metric: Any, **arguments: Any) -> int:
    arguments = {"type": "EarlyStoppingHook", "monitor": "acc", **arguments}
    runner = make_runner(metric, train_cfg={"by_epoch": True, "max_epochs": 8}, custom_hooks=[arguments])
    runner.train()
    return runner.epoch


def test_patience(make_runner: Make, scores: Any) -> None:
    metric = scores(0.1, 0.5, 0.55, 0.4, 0.52, 0.9, 0.9, 0.9)
    assert epochs(make_runner, metric, patience=3, min_delta=0.1) == 5


def test_improving_goes_on(make_runner: Make, scores: Any) -> None:
    metric = scores(0.1, 0.2, 0.15, 0.3, 0.25, 0.4, 0.35, 0.5)
    assert epochs(make_runner, metric, patience=2, min_delta=0.05) == 8


def test_less_is_better(make_runner: Make, scores: Any) -> None:
    metric = scores(9, 5, 4.99, 4.98, 4.97, name="acc")
    assert epochs(make_runner, metric, rule="less", patience=2, min_delta=0.1) == 4


def test_threshold(make_runner: Make, scores: Any) -> None:
    assert epochs(make_runner, scores(0.1, 0.9), stopping_threshold=0.9) == 2


def test_not_finite(make_runner: Make, scores: Any) -> None:
    assert epochs(make_runner, scores(0.1, float("nan"))) == 2


def test_patience_survives_a_resume(make_runner: Make, scores: Any) -> None:
    hook = {"type": "EarlyStoppingHook", "monitor": "acc", "patience": 4, "min_delta": 0.0}
    first = make_runner(scores(0.9, 0.1, 0.1), custom_hooks=[hook])
    first.train()
    cfg = {"by_epoch": True, "max_epochs": 9}
    # The last checkpoint was made before the validation of epoch 3, which is run again.
    second = make_runner(scores(0.1, 0.8, 0.8, 0.8), custom_hooks=[hook], resume=True, train_cfg=cfg)
    second.train()
    assert second.epoch == 5


def test_missing_metric(make_runner: Make, scores: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert epochs(make_runner, scores(*[0.1] * 8), monitor="accu", rule="greater") == 8
    assert "did you mean 'acc'" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="did you mean 'acc'"):
        epochs(make_runner, scores(*[0.1] * 8), monitor="accu", rule="greater", strict=True)


def test_unclear_rule() -> None:
    with pytest.raises(ConfigError, match="say rule="):
        EarlyStoppingHook("strange")
