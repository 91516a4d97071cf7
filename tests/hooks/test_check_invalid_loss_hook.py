from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.hooks import CheckInvalidLossHook
from toolkit.utils import ConfigError, TrainingError


def after(iteration: int, interval: int = 1, **outputs: Any) -> None:
    hook = CheckInvalidLossHook(interval)
    hook.after_train_iter(SimpleNamespace(iter=iteration), iteration, outputs=outputs)


def test_finite_losses_pass() -> None:
    after(0, loss=torch.tensor(1.0), loss_cls=torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_loss_that_is_not_finite_is_named(value: float) -> None:
    with pytest.raises(TrainingError, match=r"iteration 5 .*loss_bbox"):
        after(4, loss=torch.tensor(1.0), loss_bbox=torch.tensor(value))


def test_other_outputs_are_not_looked_at() -> None:
    after(0, acc=torch.tensor(float("nan")), loss="none")


def test_only_every_interval() -> None:
    after(0, interval=2, loss=torch.tensor(float("nan")))
    with pytest.raises(TrainingError):
        after(1, interval=2, loss=torch.tensor(float("nan")))


def test_the_interval_is_positive() -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        CheckInvalidLossHook(0)
