from __future__ import annotations

from collections.abc import Sized
from types import SimpleNamespace
from typing import Any

import pytest

from toolkit.logging import HistoryBuffer, MessageHub
from toolkit.runner.log_processor import LogProcessor
from toolkit.utils import ConfigError


class Run(SimpleNamespace):
    """What a log processor asks of a runner."""

    def __init__(self, length: Any = 7517, epoch: int = 0, iters: int = 49, max_epochs: int = 12) -> None:
        loader = range(length) if isinstance(length, int) else length
        loop = SimpleNamespace(dataloader=loader)
        super().__init__(epoch=epoch, iter=iters, max_epochs=max_epochs, message_hub=MessageHub("run"))
        self.train_loop = self.val_loop = self.test_loop = loop
        self.max_iters = max_epochs * (len(loader) if isinstance(loader, Sized) else 1)

    def log(self, mode: str, steps: int = 50, **values: float) -> None:
        for _ in range(steps):
            self.message_hub.update_scalars(values, mode)


def test_train_line_by_epoch() -> None:
    run = Run(max_epochs=4)
    run.message_hub.update_scalar("train/lr", 0.02)
    run.log("train", time=3.0, data_time=0.0123, loss=0.5, loss_cls=0.25, acc=99.0)
    tag, line = LogProcessor().get_log_after_iter(run, 49, "train")
    assert line == (
        "Epoch(train) [1][  50/7517]  lr: 2.0000e-02  eta: 1 day, 1:00:54  time: 3.0000  data_time: 0.0123  "
        "loss: 0.5000  loss_cls: 0.2500  acc: 99.0000"
    )
    assert tag["iter"] == 50
    assert tag["epoch"] == 1
    assert run.message_hub.get_info("eta") == pytest.approx(3.0 * (4 * 7517 - 50))


@pytest.mark.parametrize(
    ("epochs", "epoch", "batch", "head"),
    [
        (12, 0, 49, "Epoch(train)  [1][  50/7517]"),
        (12, 11, 7516, "Epoch(train) [12][7517/7517]"),
        (3, 1, 0, "Epoch(train) [2][   1/7517]"),
    ],
)
def test_columns_are_aligned(epochs: int, epoch: int, batch: int, head: str) -> None:
    run = Run(max_epochs=epochs, epoch=epoch)
    run.log("train", time=1.0, data_time=0.0)
    assert LogProcessor().get_log_after_iter(run, batch, "train")[1].startswith(head + "  ")


def test_train_line_by_iteration() -> None:
    run = Run(iters=499)
    run.log("train", time=1.0, data_time=0.5, loss=1.0)
    tag, line = LogProcessor(by_epoch=False, num_digits=2).get_log_after_iter(run, 499, "train")
    assert line.startswith(
        "Iter(train) [  500/90204]  eta: 1 day, 0:55:04  time: 1.00  data_time: 0.50  loss: 1.00"
    )
    assert "epoch" not in tag


def test_val_lines() -> None:
    run = Run(length=20, epoch=3)
    run.log("val", steps=10, time=0.5, data_time=0.1)
    processor = LogProcessor()
    assert processor.get_log_after_iter(run, 9, "val")[1] == (
        "Epoch(val)  [3][10/20]  eta: 0:00:05  time: 0.5000  data_time: 0.1000"
    )
    run.log("val", steps=10, time=1.5, data_time=0.3)
    run.message_hub.update_scalar("val/coco/bbox_mAP", 0.364)
    tag, line = processor.get_log_after_epoch(run, 20, "val")
    assert line == "Epoch(val)  [3][20/20]    coco/bbox_mAP: 0.3640  data_time: 0.2000  time: 1.0000"
    assert dict(tag) == pytest.approx({"coco/bbox_mAP": 0.364, "data_time": 0.2, "time": 1.0, "epoch": 3})
    # Metrics of this validation are no news of the next one.
    assert "mAP" not in processor.get_log_after_iter(run, 9, "val")[1]
    by_iter = LogProcessor(by_epoch=False).get_log_after_epoch(run, 20, "val")[1]
    assert by_iter.startswith("Iter(val) [20/20]    coco/bbox_mAP: 0.3640")


def test_metrics_are_not_averaged_over_validations() -> None:
    run = Run(length=20)
    for value in (3.0, 1.0):
        run.message_hub.update_scalar("val/val_loss", value)
    assert LogProcessor().get_log_after_epoch(run, 20, "val")[0]["val_loss"] == 1.0


def test_test_line_with_tables() -> None:
    run = Run(length=20)
    run.log("test", steps=20, time=0.5, data_time=0.1)
    run.message_hub.update_scalar("test/acc", 0.5)
    run.message_hub.update_info("test/confusion", [[1, 0], [0, 1]])
    processor = LogProcessor()
    _, line = processor.get_log_after_epoch(run, 20, "test", with_non_scalar=True)
    assert line == (
        "Epoch(test) [20/20]    acc: 0.5000  confusion: [[1, 0], [0, 1]]  data_time: 0.1000  time: 0.5000"
    )
    assert "confusion" not in processor.get_log_after_epoch(run, 20, "test")[1]


def test_means_over_the_window_and_newest_values() -> None:
    run = Run()
    for value in range(20):
        run.message_hub.update_scalars({"loss": value, "grad_norm": value, "acc": value}, "train")
    run.log("train", steps=20, time=1.0)
    tag, _ = LogProcessor(window_size=4).get_log_after_iter(run, 19, "train")
    assert (tag["loss"], tag["grad_norm"], tag["acc"]) == (17.5, 17.5, 19)
    # Not beyond the epoch's beginning.
    assert LogProcessor(window_size=10).get_log_after_iter(run, 1, "train")[0]["loss"] == 18.5
    named = LogProcessor(window_size=4, mean_pattern="acc").get_log_after_iter(run, 19, "train")[0]
    assert (named["loss"], named["acc"]) == (19, 17.5)


def test_one_slow_iteration_does_not_spoil_the_time_left() -> None:
    run = Run(length=1000, max_epochs=1, iters=99)
    run.log("train", steps=1, time=600.0)  # compiling
    run.log("train", steps=99, time=1.0)
    LogProcessor().get_log_after_iter(run, 99, "train")
    assert run.message_hub.get_info("eta") == pytest.approx(900)


def test_time_left_follows_the_recent_pace() -> None:
    run = Run(length=10000, max_epochs=1, iters=4999)
    run.log("train", steps=4000, time=5.0)
    run.log("train", steps=1000, time=1.0)
    LogProcessor().get_log_after_iter(run, 4999, "train")
    assert run.message_hub.get_info("eta") == pytest.approx(5000)


def test_custom_statistics() -> None:
    @HistoryBuffer.register_statistics
    def last_plus(buffer: HistoryBuffer, amount: float) -> float:
        return buffer.current() + amount

    run = Run(length=8, iters=11)
    for value in range(12):
        run.message_hub.update_scalars({"loss": value}, "train")
    custom = [
        {"data_src": "loss", "log_name": "loss_epoch", "method_name": "mean", "window_size": "epoch"},
        {"data_src": "loss", "log_name": "loss_global", "method_name": "mean", "window_size": "global"},
        {"data_src": "loss", "log_name": "loss_max", "method_name": "max", "window_size": 3},
        {"data_src": "loss", "log_name": "plus", "method_name": "last_plus", "amount": 1},
        {"data_src": "nothing", "method_name": "mean"},
    ]
    tag, line = LogProcessor(custom_cfg=custom).get_log_after_iter(run, 3, "train")
    assert (tag["loss_epoch"], tag["loss_global"], tag["loss_max"], tag["plus"]) == (9.5, 5.5, 11, 12)
    assert "nothing" not in tag
    assert "loss_epoch: 9.5000" in line


def test_hierarchy_keeps_the_prefix() -> None:
    run = Run()
    run.message_hub.update_scalar("train/lr", 0.02)
    run.log("train", time=1.0, data_time=0.0, loss=0.5)
    tag, line = LogProcessor(log_with_hierarchy=True).get_log_after_iter(run, 49, "train")
    assert {"train/lr", "train/loss", "train/time"} <= set(tag)
    assert "train/lr: 2.0000e-02" in line
    assert line.index("eta") < line.index("train/time") < line.index("train/loss")


def test_rates_of_several_optimizers() -> None:
    run = Run()
    run.message_hub.update_scalars({"gen.lr": 1e-5, "base_lr": 1e-3, "loss": 1.0, "time": 1.0}, "train")
    line = LogProcessor().get_log_after_iter(run, 0, "train")[1]
    assert "gen.lr: 1.0000e-05  base_lr: 1.0000e-03  eta:" in line


def test_loader_without_a_length() -> None:
    run = Run(length=iter(()))
    run.log("val", time=1.0)
    assert LogProcessor().get_log_after_iter(run, 4, "val")[1].startswith("Epoch(val)  [0][5/?]  time")


@pytest.mark.parametrize(
    ("custom", "text"),
    [
        ([{"method_name": "mean"}], "custom_cfg.0 has no 'data_src'"),
        ([{"data_src": "loss"}], "has no 'method_name'"),
        ([{"data_src": "loss", "method_name": "mean", "window_size": "eopch"}], "'eopch'"),
        ([{"data_src": "loss", "method_name": "mean"}, {"data_src": "loss", "method_name": "max"}], "twice"),
    ],
)
def test_bad_custom_cfg(custom: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        LogProcessor(custom_cfg=custom)


def test_epoch_window_needs_epochs() -> None:
    custom = [{"data_src": "loss", "method_name": "mean", "window_size": "epoch"}]
    with pytest.raises(ConfigError, match="by_epoch=False"):
        LogProcessor(by_epoch=False, custom_cfg=custom)
