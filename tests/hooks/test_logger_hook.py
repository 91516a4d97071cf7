from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.hooks import LoggerHook
from toolkit.utils import ConfigError

Make = Callable[..., Any]

TRAIN = re.compile(
    r"Epoch\(train\) \[(\d)\]\[(\d)/4\]  lr: \d\.\d{4}e-\d\d  eta: 0:00:00  "
    r"time: \d\.\d{4}  data_time: \d\.\d{4}  loss: \d+\.\d{4}$"
)


def lines(runner: Any) -> list[str]:
    text = Path(runner.log_dir, f"{runner.timestamp}.log").read_text()
    return [line.partition(" - INFO - ")[2] for line in text.splitlines() if "INFO" in line]


def records(runner: Any) -> list[dict[str, Any]]:
    text = Path(runner.log_dir, "vis_data", "scalars.json").read_text()
    return [json.loads(line) for line in text.splitlines()]


def logger(**arguments: Any) -> dict[str, Any]:
    return {"default_hooks": {"logger": {"type": "LoggerHook", **arguments}, "checkpoint": None}}


def test_lines_in_the_form_of_openmmlab(make_runner: Make, scores: Any) -> None:
    runner = make_runner(scores(0.5, 0.25, 0.125), **logger(interval=2))
    runner.train()
    found = [TRAIN.match(line) for line in lines(runner) if line.startswith("Epoch(train)")]
    assert [(match[1], match[2]) for match in found if match] == [
        (epoch, step) for epoch in "123" for step in "24"
    ]
    assert len(found) == 6
    val = [line for line in lines(runner) if line.startswith("Epoch(val)")]
    assert re.match(
        r"Epoch\(val\) \[2\]\[2/4\]  eta: 0:00:00  time: \d\.\d{4}  data_time: \d\.\d{4}$", val[3]
    )
    last = r"Epoch\(val\) \[2\]\[4/4\]    acc: 0.2500  data_time: \d\.\d{4}  time: \d\.\d{4}$"
    assert re.match(last, val[5])


def test_numbers_on_one_axis(make_runner: Make, scores: Any) -> None:
    runner = make_runner(scores(0.5, 0.25, 0.125), **logger(interval=2))
    runner.train()
    found = records(runner)
    assert [record["step"] for record in found] == [2, 4, 4, 6, 8, 8, 10, 12, 12]
    assert {"lr", "loss", "time", "data_time", "epoch", "iter", "step"} == set(found[0])
    assert found[2]["acc"] == 0.5
    own = Path(runner.log_dir, "vis_data", f"{runner.timestamp}.json").read_text().splitlines()
    assert [json.loads(line) for line in own] == found


def test_metrics_by_epoch_as_mmengine_has_them(make_runner: Make, scores: Any) -> None:
    runner = make_runner(scores(0.5, 0.25, 0.125), **logger(interval=4, log_metric_by_epoch=True))
    runner.train()
    assert [record["step"] for record in records(runner)] == [4, 1, 8, 2, 12, 3]


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({"interval": 3}, [3, 7, 11]),
        ({"interval": 3, "ignore_last": False}, [3, 4, 7, 8, 11, 12]),
        ({"interval": 9}, [4, 8, 12]),  # an epoch shorter than the interval is logged at its end
    ],
)
def test_log_points(make_runner: Make, arguments: dict[str, Any], steps: list[int]) -> None:
    runner = make_runner(**logger(**arguments))
    runner.train()
    assert [record["step"] for record in records(runner)] == steps


def test_training_by_iteration(make_runner: Make, scores: Any) -> None:
    runner = make_runner(
        scores(0.5, 0.25),
        train_cfg={"by_epoch": False, "max_iters": 10, "val_interval": 5},
        log_processor={"by_epoch": False},
        **logger(interval=5),
    )
    runner.train()
    found = [line.partition("  ")[0] for line in lines(runner) if line.startswith("Iter")]
    assert found == ["Iter(train) [ 5/10]", "Iter(val) [4/4]", "Iter(train) [10/10]", "Iter(val) [4/4]"]
    assert [record["step"] for record in records(runner)] == [5, 5, 10, 10]


def test_loss_is_the_mean_of_the_window(make_runner: Make) -> None:
    runner = make_runner(log_processor={"window_size": 2}, **logger(interval=4))
    runner.train()
    history = runner.message_hub.get_scalar("train/loss").data[0]
    assert records(runner)[1]["loss"] == pytest.approx(history[6:8].mean())


def test_test_metrics_have_a_file_of_their_own(make_runner: Make, scores: Any, make_loader: Any) -> None:
    runner = make_runner(test_dataloader=make_loader(), test_cfg={}, test_evaluator=scores(0.5), **logger())
    runner.test()
    record = json.loads(Path(runner.log_dir, f"{runner.timestamp}.json").read_text())
    assert record["acc"] == 0.5
    assert any(line.startswith("Epoch(test) [4/4]    acc: 0.5000") for line in lines(runner))


@pytest.mark.parametrize("keep", [True, False])
def test_copies(make_runner: Make, tmp_path: Path, keep: bool) -> None:
    runner = make_runner(**logger(interval=2, out_dir=str(tmp_path / "far"), keep_local=keep))
    runner.train()
    home = Path(runner.log_dir)
    copies = {path.relative_to(tmp_path / "far" / "work" / home.name).as_posix() for path in far(tmp_path)}
    assert {f"{runner.timestamp}.log", "vis_data/scalars.json"} <= copies
    assert (home / "vis_data" / "scalars.json").exists() is keep


def far(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "far").rglob("*") if path.is_file()]


def test_bar_is_shown_on_a_terminal_only(
    make_runner: Make, scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.logging import progress

    shown: list[str] = []
    monkeypatch.setattr(
        progress.LiveProgress, "show", lambda self, title, position, total: shown.append(f"{title()} {total}")
    )
    make_runner(scores(1, 2, 3), **logger(progress_bar=True)).train()
    # A bar an epoch, one a validation, and the training's again after it.
    assert shown[:4] == ["Epoch 1/3 4", "Val 4", "Epoch 2/3 4", "Epoch 2/3 4"]
    runner = make_runner(**logger())
    runner.train()
    assert runner.hooks[3]._bar is None or not runner.hooks[3]._bar.enabled


def test_exp_name(make_runner: Make) -> None:
    runner = make_runner(
        train_cfg={"by_epoch": False, "max_iters": 12}, **logger(interval=3, interval_exp_name=5)
    )
    runner.train()
    assert sum(line.startswith("Exp name: ") for line in lines(runner)) == 2  # at 6 and 12


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        LoggerHook(interval=0)
    with pytest.raises(ConfigError, match="throw the logs away"):
        LoggerHook(keep_local=False)
