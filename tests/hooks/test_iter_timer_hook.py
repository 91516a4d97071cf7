from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from toolkit.hooks import Hook, IterTimerHook

Make = Callable[..., Any]


class SlowStep(Hook):
    """Takes 20 ms of each step."""

    priority = "HIGH"

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        time.sleep(0.02)


class SlowEnd(Hook):
    """Takes 100 ms after each validation, as saving the best checkpoint does."""

    priority = "VERY_LOW"

    def after_val_epoch(self, runner, metrics=None):
        time.sleep(0.1)


@pytest.mark.parametrize("by_epoch", [True, False])
def test_times(make_runner: Make, scores: Any, by_epoch: bool) -> None:
    cfg = (
        {"by_epoch": True, "max_epochs": 2}
        if by_epoch
        else {"by_epoch": False, "max_iters": 8, "val_interval": 4}
    )
    runner = make_runner(scores(1, 2), train_cfg=cfg, custom_hooks=[SlowStep(), SlowEnd()])
    runner.train()
    hub = runner.message_hub
    times, waits = hub.get_scalar("train/time").data[0], hub.get_scalar("train/data_time").data[0]
    assert len(times) == len(waits) == 8
    assert (times >= 0.02).all()
    # Neither the step nor the validation is a wait for data.
    assert waits.max() < 0.1
    assert sorted(waits)[4] < 0.02
    assert len(hub.get_scalar("val/time")) == 8
    assert "train/time" not in hub.state_dict()["log_scalars"]


def test_registered_points() -> None:
    assert set(IterTimerHook().get_triggered_stages()) >= {
        "before_train_iter",
        "after_test_iter",
        "after_val_iter",
    }
