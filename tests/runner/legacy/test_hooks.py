from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.runner.legacy import ClosureHook, EMAHook, EvalHook, Hook, LogBuffer, LoggerHook
from toolkit.utils import ConfigError


def run(runner: Any, loaders: list[Any], **configs: Any) -> Any:
    runner.register_training_hooks({"policy": "fixed"}, {}, **configs)
    runner.run(loaders, [("train", 1), ("val", 1)][: len(loaders)])
    return runner


def test_ema_follows_the_formula(make: Any, loader: Any, parts: SimpleNamespace) -> None:
    class Averaging(Hook):
        """MMCV's average, in double precision."""

        def after_train_iter(self, runner: Any) -> None:
            new = [value.double() for value in parts.weights(runner.model)]
            i = runner.iter
            share = min(0.3, (1 + i) / (4 + i))
            old = self.average if i else new
            self.average = [(1 - share) * a + share * b for a, b in zip(old, new, strict=True)]
            self.trained = parts.weights(runner.model)

    class Begun(Hook):
        def before_train_iter(self, runner: Any) -> None:
            if runner.inner_iter == 0 and runner.iter:
                self.begun = parts.weights(runner.model)
                self.trained = averaging.trained

    runner, averaging, begun = make(max_epochs=3), Averaging(), Begun()
    for hook in (averaging, begun, EMAHook(momentum=0.3, warm_up=4)):
        runner.register_hook(hook)
    run(runner, [loader(), loader()])
    # At the end of an epoch the average stands in the model, and training goes on with the trained weights.
    for found, expected in zip(parts.weights(runner.model), averaging.average, strict=True):
        assert torch.allclose(found.double(), expected, atol=1e-6)
    for found, expected in zip(begun.begun, begun.trained, strict=True):
        assert torch.equal(found, expected)


def test_checkpoints_hold_the_average(make: Any, loader: Any, tmp_path: Path) -> None:
    runner = make(max_epochs=2)
    runner.register_hook(EMAHook(momentum=0.3), "HIGH")
    run(runner, [loader()], checkpoint_config={"interval": 1})
    saved = torch.load(tmp_path / "work" / "epoch_2.pth", weights_only=True)
    assert torch.equal(saved["state_dict"]["fc.weight"], runner.model.fc.weight)
    assert not torch.equal(saved["ema_state_dict"]["module.fc.weight"], runner.model.fc.weight)


def test_closures(make: Any, loader: Any) -> None:
    runner, seen = make(max_epochs=1), []
    runner.register_hook(ClosureHook("after_train_iter", lambda runner: seen.append(runner.iter)))
    runner.register_hook(ClosureHook("before_epoch", lambda runner: seen.append("epoch")))
    run(runner, [loader(4)])
    assert seen == ["epoch", 0, 1]
    with pytest.raises(ConfigError, match=r"did you mean 'after_train_iter'"):
        ClosureHook("after_train_itr", print)


def test_gradients_at_half_precision_train_as_well(make: Any, loader: Any) -> None:
    runner = make(max_epochs=4)
    runner.register_training_hooks(
        {"policy": "fixed"}, {"type": "Fp16OptimizerHook", "loss_scale": "dynamic"}
    )
    kinds = []
    inner = runner.model.train_step

    def step(data: Any, optimizer: Any) -> Any:
        kinds.append(runner.model.fc(data[0]).dtype)
        return inner(data, optimizer)

    runner.model.train_step = step
    before = runner.model.fc.weight.detach().clone()
    runner.run([loader()], [("train", 1)])
    assert set(kinds) == {torch.bfloat16}
    assert not torch.equal(before, runner.model.fc.weight)


def test_log_buffer_weights_by_samples() -> None:
    buffer = LogBuffer()
    buffer.update({"loss": 1.0}, 1)
    buffer.update({"loss": torch.tensor(4.0)}, 3)
    buffer.update({"loss": 2.0}, 1)
    buffer.average(2)
    assert buffer.output == {"loss": (4.0 * 3 + 2.0) / 4}
    assert buffer.ready
    buffer.average()
    assert buffer.output == {"loss": (1.0 + 12.0 + 2.0) / 5}
    buffer.clear_output()
    assert not buffer.output
    assert not buffer.ready


def test_text_log(make: Any, loader: Any, tmp_path: Path) -> None:
    losses: list[float] = []

    class Losses(Hook):
        def after_train_iter(self, runner: Any) -> None:
            losses.append(runner.outputs["log_vars"]["loss"])

    runner = make(max_epochs=2)
    runner.register_hook(Losses())
    log = {"interval": 2, "hooks": [{"type": "TextLoggerHook"}, {"type": "TensorboardLoggerHook"}]}
    run(runner, [loader(), loader(4, 4)], log_config=log)
    (file,) = (tmp_path / "work").glob("*.log.json")
    head, *records = [json.loads(line) for line in file.read_text().splitlines()]
    assert set(head) == {"seed", "exp_name"}
    train = [one for one in records if one["mode"] == "train"]
    assert [(one["epoch"], one["iter"]) for one in train] == [(1, 2), (1, 4), (2, 2), (2, 4)]
    means = [(losses[i] + losses[i + 1]) / 2 for i in range(0, 8, 2)]
    assert [one["loss"] for one in train] == pytest.approx(means, abs=1e-5)
    assert all(one["lr"] == 0.1 and one["time"] >= 0 for one in train)
    assert [(one["mode"], one["epoch"]) for one in records if one["mode"] == "val"] == [
        ("val", 1),
        ("val", 2),
    ]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "work" / "tf_logs")).Reload()
    scalars = events.Scalars("train/loss")
    assert [one.step for one in scalars] == [2, 4, 6, 8]
    assert [one.value for one in scalars] == pytest.approx(means, abs=1e-6)
    assert "learning_rate" in events.Tags()["scalars"]


def test_a_logger_of_ones_own(make: Any, loader: Any) -> None:
    lines = []

    class Own(LoggerHook):
        def log(self, runner: Any) -> None:
            lines.append((self.get_iter(runner), sorted(self.get_loggable_tags(runner))))

    runner = make(max_iters=4)
    run(runner, [loader()], log_config={"interval": 2, "hooks": [Own(interval=2, by_epoch=False)]})
    assert lines == [(n, ["learning_rate", "momentum", "train/loss"]) for n in (2, 4)]


class Judge(torch.utils.data.Dataset[Any]):
    """An old dataset: it evaluates the results itself."""

    scores = [0.5, 0.9, 0.7]

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"img": torch.tensor([float(index), 1.0])}

    def evaluate(self, results: list[Any], logger: Any, metric: str) -> dict[str, float]:
        self.seen.append((len(results), metric))
        return {f"{metric}_acc": self.scores[len(self.seen) - 1]}


def test_evaluation_keeps_the_best(make: Any, loader: Any, tmp_path: Path) -> None:
    runner, dataset = make(max_epochs=3), Judge()
    runner.model.forward = lambda img, return_loss: list(runner.model.fc(img))
    hook = EvalHook(torch.utils.data.DataLoader(dataset, 2), save_best="auto", metric="top")
    runner.register_hook(hook, "LOW")
    log = {"interval": 4, "hooks": [{"type": "TextLoggerHook"}]}
    run(runner, [loader()], log_config=log, checkpoint_config={"interval": 1})
    assert dataset.seen == [(3, "top")] * 3
    work = tmp_path / "work"
    assert [path.name for path in work.glob("best*.pth")] == ["best_top_acc_epoch_2.pth"]
    saved = torch.load(work / "best_top_acc_epoch_2.pth", weights_only=True)
    assert saved["meta"]["epoch"] == 2
    assert saved["meta"]["hook_msgs"]["best_score"] == 0.9
    (file,) = work.glob("*.log.json")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["top_acc"] for one in records if "top_acc" in one] == Judge.scores

    other = EvalHook(torch.utils.data.DataLoader(Judge(), 2), save_best="auto", metric="top")
    resumed = make(max_epochs=3)
    resumed.model.forward = lambda img, return_loss: list(resumed.model.fc(img))
    resumed.register_hook(other)
    resumed.resume(str(work / "epoch_3.pth"))
    resumed.run([loader()], [("train", 1)])
    assert other.state_dict()["score"] == 0.9


def test_evaluation_by_iterations_is_logged_apart(make: Any, loader: Any, tmp_path: Path) -> None:
    runner = make(max_iters=6)
    runner.model.forward = lambda img, return_loss: list(runner.model.fc(img))
    judge = torch.utils.data.DataLoader(Judge(), 2)
    log = {"interval": 2, "hooks": [{"type": "TextLoggerHook"}]}
    runner.register_training_hooks({"policy": "fixed"}, {}, log_config=log)
    runner.register_hook(EvalHook(judge, interval=2, by_epoch=False, metric="top"), "LOW")
    runner.run([loader()], [("train", 1)])
    (file,) = (tmp_path / "work").glob("*.log.json")
    records = [json.loads(line) for line in file.read_text().splitlines()][1:]
    assert [(one["mode"], "loss" in one, "top_acc" in one) for one in records] == [
        ("train", True, False),
        ("val", False, True),
    ] * 3


def test_an_unknown_best_metric(make: Any, loader: Any) -> None:
    runner = make(max_epochs=1)
    runner.model.forward = lambda img, return_loss: list(img)
    loader_of_judge = torch.utils.data.DataLoader(Judge(), 2)
    runner.register_hook(EvalHook(loader_of_judge, save_best="top_ac", metric="top"))
    with pytest.raises(ConfigError, match=r"did you mean 'top_acc'"):
        run(runner, [loader()])
