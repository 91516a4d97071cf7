from __future__ import annotations

from typing import Any

import pytest

from toolkit.hooks import ClosureHook
from toolkit.utils import ConfigError


def test_the_function_is_called_at_its_point_alone(make_runner: Any) -> None:
    seen: list[int] = []
    runner = make_runner(
        custom_hooks=[ClosureHook("after_train_epoch", lambda runner: seen.append(runner.epoch))]
    )
    runner.train()
    assert seen == list(range(runner.max_epochs))


def test_an_unknown_point_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'after_train_iter'"):
        ClosureHook("after_train_iters", print)


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a function, got 3"):
        ClosureHook("before_run", 3)  # type: ignore[arg-type]
