"""Logs: the logger, the message hub and its histories, and how the lines of a run are made."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.logging import HistoryBuffer, MessageHub, MMLogger, print_log
from toolkit.runner import Runner

Make = Callable[..., Runner]


def test_histories() -> None:
    history = HistoryBuffer()
    for value in (1, 2, 3, 4):
        history.update(value)
    assert history.mean() == 2.5
    assert history.mean(window_size=2) == 3.5
    assert (history.min(), history.max(), history.current()) == (1, 4, 4)
    assert HistoryBuffer([1, 2], [1, 3]).mean() == 3 / 4  # sums over batches, counts of samples
    assert history.statistics("mean", window_size=2) == 3.5


def test_a_statistic_of_ones_own() -> None:
    @HistoryBuffer.register_statistics
    def tutorial_median(self: Any, window_size: int | None = None) -> float:
        values, _ = self.data
        return float(np.median(values if window_size is None else values[-window_size:]))

    assert HistoryBuffer([1, 9, 2], [1, 1, 1]).statistics("tutorial_median") == 2
    assert HistoryBuffer([1, 9, 2], [1, 1, 1]).statistics("tutorial_median", window_size=2) == 5.5


def test_a_message_hub() -> None:
    hub = MessageHub.get_instance("tutorial hub")
    assert MessageHub.get_instance("tutorial hub") is hub
    hub.update_scalar("train/loss", 0.1)
    hub.update_scalar("train/loss", 0.3)
    assert hub.get_scalar("train/loss").current() == 0.3
    assert hub.get_scalar("train/loss").mean() == pytest.approx(0.2)
    hub.update_scalars({"lr": 0.5, "acc": {"value": 0.9, "count": 4}})
    assert hub.get_scalar("acc").current() == 0.9
    hub.update_info("iter", 3)
    hub.update_info_dict({"epoch": 1})
    assert (hub.get_info("iter"), hub.get_info("epoch"), hub.get_info("none", 7)) == (3, 1, 7)
    restored = MessageHub.get_instance("tutorial hub, restored")
    restored.load_state_dict(hub.state_dict())
    assert restored.get_scalar("train/loss").mean() == pytest.approx(0.2)


def test_a_logger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log" / "tutorial.log"
    file.parent.mkdir()
    logger = MMLogger.get_instance("tutorial logger", log_file=str(file), log_level="INFO")
    logger.info("a line")
    logger.debug("hidden")
    print_log("another", logger="current", level=logging.WARNING)
    print_log("a third", logger=logger)
    print_log("printed")
    print_log("nothing", logger="silent")
    logger.close() if hasattr(logger, "close") else None
    text = Path(logger.log_file or file).read_text()
    assert [line.rpartition(" - ")[2] for line in text.splitlines()] == ["a line", "another", "a third"]
    assert "WARNING" in text
    assert "printed" in capsys.readouterr().out


class Noted:
    """The lines of a run's log that tell of training."""

    def __init__(self, folder: Path) -> None:
        text = next(folder.glob("*/*.log")).read_text()
        self.lines = [line for line in text.splitlines() if "Epoch(train)" in line or "Iter(train)" in line]
        scalars = next(folder.glob("*/vis_data/scalars.json")).read_text()
        self.scalars = [json.loads(line) for line in scalars.splitlines()]


def test_lines_of_a_run(make: Make, tmp_path: Path) -> None:
    make(default_hooks={"logger": {"type": "LoggerHook", "interval": 1}}).train()
    noted = Noted(tmp_path / "run")
    assert len(noted.lines) == 4
    assert "Epoch(train) [1][1/2]" in noted.lines[0]
    for part in ("lr: 1.0000e-01", "eta: ", "time: ", "data_time: ", "loss: "):
        assert part in noted.lines[0]
    assert [one["iter"] for one in noted.scalars] == [1, 2, 3, 4]


def test_statistics_in_the_lines(make: Make, tmp_path: Path) -> None:
    custom = [
        {"data_src": "loss", "log_name": "loss_max", "method_name": "max", "window_size": "global"},
        {"data_src": "loss", "method_name": "mean", "window_size": 1},
    ]
    processor = {"type": "LogProcessor", "window_size": 10, "by_epoch": False, "custom_cfg": custom}
    logger = {"logger": {"type": "LoggerHook", "interval": 1}}
    make(log_processor=processor, default_hooks=logger).train()
    noted = Noted(tmp_path / "run")
    assert "Iter(train) [1/4]" in noted.lines[0]
    losses = [one["loss"] for one in noted.scalars]
    assert noted.scalars[-1]["loss_max"] == pytest.approx(max(losses))
    assert len(set(losses)) == 4


def test_numbers_of_a_model(make: Make, tmp_path: Path) -> None:
    from toolkit.hooks import Hook

    class Extra(Hook):
        """Adds a number to the hub, as any code of the user's may."""

        priority = "HIGH"

        def after_train_iter(
            self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
        ) -> None:
            MessageHub.get_current_instance().update_scalar("train/extra", 42.0)

    make(custom_hooks=[Extra()], default_hooks={"logger": {"type": "LoggerHook", "interval": 1}}).train()
    assert Noted(tmp_path / "run").scalars[0]["extra"] == 42
