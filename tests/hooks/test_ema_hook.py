from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from toolkit.hooks import EMAHook, Hook
from toolkit.utils import ConfigError

Make = Callable[..., Any]
MOMENTUM = 0.25


class Watch(Hook):
    """Notes the weights after each step, and those that validation and test see."""

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self.trained: list[Tensor] = []
        self.validated: list[Tensor] = []
        self.tested: list[Tensor] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.trained.append(weight(runner))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            self.validated.append(weight(runner))

    def before_test_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 0:
            self.tested.append(weight(runner))


def weight(runner: Any) -> Tensor:
    return runner.model.fit.weight.detach().clone()


def averages(trained: list[Tensor], begin: int = 1) -> list[Tensor]:
    """The definition: the first weights whole, then a step of `MOMENTUM` towards each."""
    result: list[Tensor] = []
    for value in trained[begin - 1 :]:
        result.append(value if not result else (1 - MOMENTUM) * result[-1] + MOMENTUM * value)
    return result


def ema(**changes: Any) -> dict[str, Any]:
    return {"type": "EMAHook", "momentum": MOMENTUM, **changes}


def test_validation_sees_the_average_and_training_does_not(make_runner: Make, scores: Any) -> None:
    watch = Watch()
    runner = make_runner(scores(1, 2, 3), custom_hooks=[ema(), watch])
    runner.train()
    expected = averages(watch.trained)
    for seen, at in zip(watch.validated, (4, 8, 12), strict=True):
        torch.testing.assert_close(seen, expected[at - 1])
    torch.testing.assert_close(weight(runner), watch.trained[-1])

    plain = Watch()
    make_runner(scores(1, 2, 3), custom_hooks=[plain]).train()
    assert all(torch.equal(a, b) for a, b in zip(watch.trained, plain.trained, strict=True))


@pytest.mark.parametrize(("arguments", "begin"), [({"begin_iter": 6}, 6), ({"begin_epoch": 2}, 5)])
def test_begin(make_runner: Make, scores: Any, arguments: dict[str, int], begin: int) -> None:
    watch = Watch()
    make_runner(scores(1, 2, 3), custom_hooks=[ema(**arguments), watch]).train()
    torch.testing.assert_close(watch.validated[0], watch.trained[3])  # not begun: the weights themselves
    torch.testing.assert_close(watch.validated[2], averages(watch.trained, begin)[-1])


def test_checkpoint_holds_both(make_runner: Make, tmp_path: Path) -> None:
    watch = Watch()
    runner = make_runner(custom_hooks=[ema(), watch])
    runner.train()
    checkpoint = torch.load(tmp_path / "work" / "epoch_3.pth", weights_only=True)
    torch.testing.assert_close(checkpoint["state_dict"]["fit.weight"], averages(watch.trained)[-1])
    torch.testing.assert_close(checkpoint["ema_state_dict"]["module.fit.weight"], watch.trained[-1])
    assert int(checkpoint["ema_state_dict"]["steps"]) == 12
    torch.testing.assert_close(weight(runner), watch.trained[-1])


def test_no_average_yet_in_a_checkpoint(make_runner: Make, tmp_path: Path) -> None:
    make_runner(custom_hooks=[ema(begin_epoch=3)]).train()
    assert "ema_state_dict" not in torch.load(tmp_path / "work" / "epoch_2.pth", weights_only=True)
    assert "ema_state_dict" in torch.load(tmp_path / "work" / "epoch_3.pth", weights_only=True)


def test_resumed_average_is_that_of_an_uninterrupted_run(
    make_runner: Make, scores: Any, tmp_path: Path
) -> None:
    whole = Watch()
    make_runner(scores(1, 2, 3), custom_hooks=[ema(update_buffers=True), whole]).train()
    resumed = Watch()
    runner = make_runner(
        scores(2, 3),
        custom_hooks=[ema(update_buffers=True), resumed],
        load_from=str(tmp_path / "work" / "epoch_2.pth"),
        resume=True,
    )
    runner.train()
    assert all(torch.equal(a, b) for a, b in zip(resumed.trained, whole.trained[8:], strict=True))
    assert torch.equal(resumed.validated[-1], whole.validated[-1])
    assert float(runner.model.seen) == 12


def test_training_from_the_weights_begins_a_new_average(make_runner: Make, tmp_path: Path) -> None:
    make_runner(custom_hooks=[ema()]).train()
    path = tmp_path / "work" / "epoch_3.pth"
    watch = Watch()
    make_runner(custom_hooks=[ema(), watch], load_from=str(path), work_dir=str(tmp_path / "b")).train()
    second = torch.load(tmp_path / "b" / "epoch_3.pth", weights_only=True)
    torch.testing.assert_close(second["state_dict"]["fit.weight"], averages(watch.trained)[-1])


def test_test_uses_the_average(make_runner: Make, scores: Any, make_loader: Any, tmp_path: Path) -> None:
    watch = Watch()
    parts = {"test_dataloader": make_loader(), "test_cfg": {}}
    runner = make_runner(custom_hooks=[ema(), watch], test_evaluator=scores(1, 1), **parts)
    runner.train()
    runner.test()
    torch.testing.assert_close(watch.tested[0], averages(watch.trained)[-1])
    torch.testing.assert_close(weight(runner), watch.trained[-1])

    for custom_hooks in ([ema()], []):
        other = Watch()
        make_runner(
            custom_hooks=[*custom_hooks, other],
            test_evaluator=scores(1),
            load_from=str(tmp_path / "work" / "epoch_3.pth"),
            **parts,
        ).test()
        torch.testing.assert_close(other.tested[0], averages(watch.trained)[-1])


def test_averaged_buffers(make_runner: Make, scores: Any) -> None:
    class Buffer(Hook):
        values: list[float] = []

        def before_val_epoch(self, runner, mode="val"):
            self.values.append(float(runner.model.seen))

        priority = "LOW"

    for update, expected in (
        (True, averages([Tensor([step]) for step in range(1, 13)])[-1].item()),
        (False, 12.0),
    ):
        make_runner(scores(1, 2, 3), custom_hooks=[ema(update_buffers=update), Buffer()]).train()
        assert Buffer.values[-1] == pytest.approx(expected)


def test_other_weights_are_tested_as_they_are(
    make_runner: Make, scores: Any, make_loader: Any, tmp_path: Path
) -> None:
    watch = Watch()
    runner = make_runner(
        custom_hooks=[ema(), watch], test_dataloader=make_loader(), test_cfg={}, test_evaluator=scores(1)
    )
    runner.train()
    torch.save(
        {"state_dict": {**runner.model.state_dict(), "fit.weight": torch.tensor([[7.0]])}}, tmp_path / "w.pth"
    )
    runner.load_checkpoint(str(tmp_path / "w.pth"))
    runner.test()
    assert watch.tested[0].item() == 7.0


def test_other_averages_by_name(make_runner: Make, scores: Any) -> None:
    watch = Watch()
    average = {"type": "EMAHook", "ema_type": "StochasticWeightAverage"}
    make_runner(scores(1, 2, 3), custom_hooks=[average, watch]).train()
    torch.testing.assert_close(watch.validated[-1], torch.stack(watch.trained).mean(0))


def test_bad_arguments(make_runner: Make) -> None:
    with pytest.raises(ConfigError, match="same thing"):
        EMAHook(begin_iter=1, begin_epoch=1)
    with pytest.raises(ConfigError, match="begin_epoch=4 lies behind"):
        make_runner(custom_hooks=[ema(begin_epoch=4)]).train()
