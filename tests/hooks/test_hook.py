from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.hooks import Hook, Priority, get_priority
from toolkit.registry import HOOKS

MISSPELT = [
    ("before_train_iters", "before_train_iter"),
    ("after_train_epochs", "after_train_epoch"),
    ("befor_run", "before_run"),
    ("before_trian", "before_train"),
    ("after_load_checkpoints", "after_load_checkpoint"),
    ("_before_epochs", "_before_epoch"),
    ("after_train_step", "after_train_iter"),
]


@pytest.mark.parametrize(("name", "meant"), MISSPELT)
def test_misspelt_point_is_refused_where_the_class_is_made(name: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"{name} .*did you mean '{meant}'"):
        type("Wrong", (Hook,), {name: lambda self, runner: None})


def test_misspelt_point_may_be_meant() -> None:
    points = {"extra_points": ("after_train_step",), "after_train_step": lambda self, runner: None}
    type("Meant", (Hook,), points)


@pytest.mark.parametrize("name", ["before_warmup", "forward", "after_everything", "_draw", "_after_eval"])
def test_other_methods_are_left_alone(name: str) -> None:
    type("Fine", (Hook,), {name: lambda self: None})


def test_every_hook_of_the_package_is_registered_and_says_nothing_of_unknown_points() -> None:
    import toolkit.hooks

    for name in toolkit.hooks.__all__:
        value = getattr(toolkit.hooks, name)
        if isinstance(value, type) and issubclass(value, Hook) and value is not Hook:
            assert HOOKS.get(name) is value


def test_triggered_stages_in_the_order_of_a_run() -> None:
    class Mine(Hook):
        def after_run(self, runner: Any) -> None: ...

        def _before_iter(
            self, runner: Any, batch_idx: int, data_batch: Any = None, mode: str = ""
        ) -> None: ...

        def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None: ...

    stages = [
        "after_load_checkpoint",
        "before_train_iter",
        "before_val_iter",
        "before_test_iter",
        "after_run",
    ]
    assert Mine().get_triggered_stages() == stages
    assert Hook().get_triggered_stages() == []

    class Child(Mine):
        pass

    assert Child().get_triggered_stages() == stages


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_shared_points_are_reached_with_their_mode(mode: str) -> None:
    calls = []

    class Mine(Hook):
        def _before_epoch(self, runner, mode="train"):
            calls.append(("before_epoch", mode))

        def _after_epoch(self, runner, mode="train"):
            calls.append(("after_epoch", mode))

        def _before_iter(self, runner, batch_idx, data_batch=None, mode="train"):
            calls.append(("before_iter", mode, batch_idx, data_batch))

        def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode="train"):
            calls.append(("after_iter", mode, batch_idx, data_batch, outputs))

    hook = Mine()
    getattr(hook, f"before_{mode}_epoch")(None)
    getattr(hook, f"before_{mode}_iter")(None, batch_idx=3, data_batch=4)
    getattr(hook, f"after_{mode}_iter")(None, batch_idx=3, data_batch=4, outputs=5)
    getattr(hook, f"after_{mode}_epoch")(None)
    assert calls == [
        ("before_epoch", mode),
        ("before_iter", mode, 3, 4),
        ("after_iter", mode, 3, 4, 5),
        ("after_epoch", mode),
    ]


@given(done=st.integers(0, 60), n=st.integers(-1, 9), start=st.integers(0, 20))
def test_every_n_counts_from_start(done: int, n: int, start: int) -> None:
    runner = SimpleNamespace(epoch=done, iter=done)
    expected = n > 0 and done + 1 in range(start, 100, n)
    assert Hook().every_n_epochs(runner, n, start) is expected
    assert Hook().every_n_train_iters(runner, n, start) is expected


def test_places_in_a_run() -> None:
    hook = Hook()
    runner = SimpleNamespace(epoch=2, iter=11, max_epochs=3, max_iters=13)
    assert hook.is_last_train_epoch(runner)
    assert not hook.is_last_train_iter(runner)
    assert hook.end_of_epoch([0] * 4, 3)
    assert not hook.end_of_epoch([0] * 4, 2)
    assert [hook.every_n_inner_iters(index, 3) for index in range(6)] == [False, False, True] * 2
    assert not hook.every_n_inner_iters(5, 0)


@pytest.mark.parametrize(
    ("given_", "number"), [("LOW", 70), ("very_high", 10), (45, 45), (Priority.LOWEST, 100)]
)
def test_priorities(given_: Any, number: int) -> None:
    assert get_priority(given_) == number


@pytest.mark.parametrize(
    ("given_", "kind", "text"),
    [
        ("HIHG", ValueError, "'HIGH'"),
        (101, ValueError, "101"),
        (True, TypeError, "bool"),
        (1.0, TypeError, "float"),
    ],
)
def test_bad_priorities(given_: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        get_priority(given_)


def test_hook_without_state() -> None:
    assert Hook().state_dict() == {}
    Hook().load_state_dict({})
