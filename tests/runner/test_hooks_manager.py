from __future__ import annotations

from typing import Any

import pytest

from toolkit.hooks import CheckpointHook, Hook, LoggerHook
from toolkit.runner.hooks_manager import HookManager
from toolkit.utils.errors import BuildError


class Quiet(Hook):
    pass


class Iter(Hook):
    def _before_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, mode: str = "train") -> None:
        runner.append((type(self).__name__, mode))


class Train(Hook):
    priority = "LOW"

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        runner.append((type(self).__name__, "train"))

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.value = state_dict["value"]


def names(manager: HookManager) -> list[str]:
    return [type(hook).__name__ for hook in manager.hooks]


def test_only_hooks_that_do_something_are_called() -> None:
    manager = HookManager()
    for hook in (Train(), Quiet(), Iter()):
        manager.register(hook)
    assert [call.__self__ for call in manager.callbacks("before_train_iter")] == [
        manager.hooks[1],
        manager.hooks[2],
    ]
    assert [type(call.__self__) for call in manager.callbacks("before_val_iter")] == [Iter]
    assert manager.callbacks("after_run") == ()
    called: list[Any] = []
    for call in manager.callbacks("before_train_iter"):
        call(called, batch_idx=0)
    assert called == [("Iter", "train"), ("Train", "train")]


def test_hooks_are_bound_once_and_anew_when_one_is_added() -> None:
    manager = HookManager()
    manager.register(Iter())
    first = manager.callbacks("before_train_iter")
    assert manager.callbacks("before_train_iter") is first
    manager.register(Train())
    assert len(manager.callbacks("before_train_iter")) == 2


def test_a_point_of_ones_own() -> None:
    class Mine(Hook):
        def before_warmup(self, runner: Any) -> None:
            runner.append("warm")

    manager = HookManager()
    manager.register(Quiet())
    manager.register(Mine())
    called: list[str] = []
    for call in manager.callbacks("before_warmup"):
        call(called)
    assert called == ["warm"]


def test_priority_orders_and_equals_keep_their_order() -> None:
    manager = HookManager()
    manager.register(Train())  # LOW
    manager.register(Quiet())  # NORMAL
    manager.register(Iter())  # NORMAL, later
    manager.register({"type": Quiet, "priority": "VERY_HIGH"})
    manager.register(Iter(), priority=95)
    assert names(manager) == ["Quiet", "Quiet", "Iter", "Train", "Iter"]


def test_defaults_and_their_changes() -> None:
    manager = HookManager()
    manager.register_defaults()
    assert names(manager) == [
        "RuntimeInfoHook",
        "IterTimerHook",
        "DistSamplerSeedHook",
        "LoggerHook",
        "ParamSchedulerHook",
        "CheckpointHook",
    ]
    changed = HookManager()
    changed.register_defaults(
        {"timer": None, "logger": {"interval": 7}, "checkpoint": CheckpointHook(3), "mine": Iter()}
    )
    assert names(changed) == [
        "RuntimeInfoHook",
        "DistSamplerSeedHook",
        "Iter",
        "LoggerHook",
        "ParamSchedulerHook",
        "CheckpointHook",
    ]
    logger = changed.hooks[3]
    assert isinstance(logger, LoggerHook)
    assert logger.interval == 7


def test_state_by_name_and_number() -> None:
    manager = HookManager()
    for hook in (Train(1), Quiet(), Train(2)):
        manager.register(hook)
    state = manager.state_dict()
    assert state == {"Train": {"value": 1}, "Train#1": {"value": 2}}
    other = HookManager()
    other.register(Train(5))
    assert other.load_state_dict(state) == ["Train#1"]
    assert other.hooks[0].value == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", ["LoggerHook", 3, object()])
def test_what_is_no_hook_is_refused(wrong: Any) -> None:
    with pytest.raises(BuildError, match=r"must be a toolkit\.hooks\.Hook or a dict"):
        HookManager().register(wrong)


def test_two_priorities_are_refused() -> None:
    with pytest.raises(BuildError, match="two priorities"):
        HookManager().register({"type": Quiet, "priority": "LOW"}, priority="HIGH")


def test_the_table() -> None:
    manager = HookManager()
    manager.register(Train())
    manager.register(Iter(), priority=33)
    text = manager.describe()
    assert text.index("before_train_iter") < text.index("before_val_iter")
    assert "(33          ) Iter" in text
    assert "(LOW         ) Train" in text


class Broken(Hook):
    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.divide(batch_idx)

    def divide(self, number: int) -> None:
        raise ZeroDivisionError(f"by {number}")


def test_a_hooks_own_exception_keeps_its_traceback(make: Any) -> None:
    with pytest.raises(ZeroDivisionError, match="by 0") as caught:
        make(custom_hooks=[Broken()]).train()
    assert [entry.name for entry in caught.traceback][-2:] == ["after_train_iter", "divide"]
    assert caught.value.__cause__ is None
