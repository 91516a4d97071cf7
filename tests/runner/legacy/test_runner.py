from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from toolkit.model import BaseModel
from toolkit.runner import Runner
from toolkit.runner.legacy import HOOKS, Hook
from toolkit.utils import BuildError, ConfigError

TRAIN_VAL = [("train", 1), ("val", 1)]
STEP = {"policy": "step", "step": [2], "warmup": "linear", "warmup_iters": 3}


class Recorder(Hook):
    """Written as for MMCV 1.x: every method takes the runner alone."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def before_run(self, runner: Any) -> None:
        self.calls.append(("run",))

    def before_epoch(self, runner: Any) -> None:
        self.calls.append(("epoch", runner.mode, runner.epoch))

    def after_train_epoch(self, runner: Any) -> None:
        self.calls.append(("trained", runner.epoch, runner.iter))

    def after_iter(self, runner: Any) -> None:
        size = len(runner.data_batch[0])
        self.calls.append((runner.mode, runner.inner_iter, runner.iter, size, sorted(runner.outputs)[0]))


def test_epochs_follow_the_workflow(make: Any, loader: Any) -> None:
    runner, recorder = make(max_epochs=2), Recorder()
    runner.register_training_hooks({"policy": "fixed"}, {})
    runner.register_hook(recorder)
    runner.run([loader(4), loader(4, 4)], TRAIN_VAL)
    one = "log_vars"
    assert recorder.calls == [
        ("run",),
        ("epoch", "train", 0),
        ("train", 0, 0, 2, one),
        ("train", 1, 1, 2, one),
        ("trained", 0, 2),
        ("epoch", "val", 1),
        ("val", 0, 2, 4, one),
        ("epoch", "train", 1),
        ("train", 0, 2, 2, one),
        ("train", 1, 3, 2, one),
        ("trained", 1, 4),
        ("epoch", "val", 2),
        ("val", 0, 4, 4, one),
    ]
    assert [training for training, _ in runner.model.seen] == [True, True, False] * 2
    assert (runner.epoch, runner.iter, runner.max_epochs, runner.max_iters) == (2, 4, 2, 4)


def test_iterations_follow_the_workflow(make: Any, loader: Any) -> None:
    runner, recorder = make(max_iters=5), Recorder()
    runner.register_training_hooks({"policy": "fixed"}, {})
    runner.register_hook(recorder)
    runner.run([loader(4), loader(4, 4)], [("train", 2), ("val", 1)])
    modes = [call[0] for call in recorder.calls]
    assert modes == ["run", "epoch", "train", "train", "val", "train", "train", "val", "train"]
    assert [training for training, _ in runner.model.seen] == [True, True, False, True, True, False, True]
    assert (runner.epoch, runner.iter) == (2, 5)


def test_several_training_sets_take_turns(make: Any, loader: Any) -> None:
    runner = make(max_epochs=3)
    runner.run([loader(2), loader(4, 4)], [("train", 1), ("train", 1)])
    assert [len(inputs) for _, inputs in runner.model.seen] == [2, 4, 2]


class NewModel(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc = nn.Linear(2, 2)

    def init_weights(self) -> None:
        """As built."""

    def forward(self, inputs: Any, labels: Any, mode: str = "tensor") -> Any:
        return {"loss": nn.functional.cross_entropy(self.fc(inputs), labels)}


@pytest.mark.parametrize("by_epoch", [True, False])
@pytest.mark.parametrize("present_model", [True, False])
def test_weights_equal_those_of_the_present_runner(
    by_epoch: bool, present_model: bool, make: Any, loader: Any, parts: SimpleNamespace, tmp_path: Path
) -> None:
    new = NewModel()
    Runner(
        new,
        work_dir=str(tmp_path / "new"),
        train_dataloader=loader(),
        train_cfg={"by_epoch": by_epoch, "max_epochs" if by_epoch else "max_iters": 4 if by_epoch else 16},
        optim_wrapper={
            "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
            "clip_grad": {"max_norm": 0.5},
            "accumulative_counts": 3,
        },
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.25, "by_epoch": False, "begin": 0, "end": 5},
            {
                "type": "MultiStepLR",
                "milestones": [2] if by_epoch else [8],
                "gamma": 0.5,
                "by_epoch": by_epoch,
            },
        ],
        env_cfg={"device": "cpu"},
        log_level="WARNING",
    ).train()
    length = {"max_epochs": 4} if by_epoch else {"max_iters": 16}
    runner = make(NewModel() if present_model else None, **length)
    lr = {"policy": "step", "step": [2] if by_epoch else [8], "gamma": 0.5, "warmup": "linear"}
    runner.register_training_hooks(
        {**lr, "warmup_iters": 4, "warmup_ratio": 0.25},
        {
            "type": "GradientCumulativeOptimizerHook",
            "cumulative_iters": 3,
            "grad_clip": {"max_norm": 0.5},
        },
    )
    runner.run([loader()], [("train", 1)])
    for old, present in zip(parts.weights(runner.model), parts.weights(new), strict=True):
        assert torch.equal(old, present)
    assert not torch.equal(parts.weights(NewModel())[0], parts.weights(new)[0])


@pytest.mark.parametrize("at", ["epoch_2.pth", "iter_5.pth"])
def test_resuming_gives_the_same_weights(
    at: str, make: Any, loader: Any, parts: SimpleNamespace, tmp_path: Path
) -> None:
    by_epoch = at.startswith("epoch")

    def run(name: str, source: Path | None = None) -> Any:
        torch.manual_seed(5)
        length = {"max_epochs": 4} if by_epoch else {"max_iters": 16}
        runner = make(work_dir=str(tmp_path / name), **length)
        # Iteration 5 is within an accumulation.
        steps = {"type": "GradientCumulativeOptimizerHook", "cumulative_iters": 2}
        runner.register_training_hooks(STEP, steps, {"interval": 1})
        if source is not None:
            runner.resume(str(source))
            assert (runner.epoch, runner.iter) == ((2, 8) if by_epoch else (1, 5))
        runner.run([loader(shuffle=True), loader(4, 4)], TRAIN_VAL)
        return runner

    whole = run("whole")
    resumed = run("resumed", tmp_path / "whole" / at)
    for one, other in zip(parts.weights(whole.model), parts.weights(resumed.model), strict=True):
        assert torch.equal(one, other)
    rest = [inputs for training, inputs in whole.model.seen if training]
    assert [inputs for training, inputs in resumed.model.seen if training] == rest[8 if by_epoch else 5 :]


def test_checkpoint_of_mmcv_is_resumed(make: Any, loader: Any, tmp_path: Path) -> None:
    source = make(max_epochs=3)
    old = {
        "meta": {"epoch": 2, "iter": 8, "mmcv_version": "1.7.0"},
        "state_dict": source.model.state_dict(),
        "optimizer": source.optimizer.state_dict(),
    }
    torch.save(old, tmp_path / "epoch_2.pth")
    runner = make(max_epochs=3)
    runner.resume(str(tmp_path / "epoch_2.pth"))
    runner.run([loader()], [("train", 1)])
    assert len(runner.model.seen) == 4
    assert (runner.epoch, runner.iter) == (3, 12)


def test_latest_checkpoint_has_a_name(make: Any, loader: Any, tmp_path: Path) -> None:
    runner = make(max_epochs=3, meta={"CLASSES": ("a", "b")})
    runner.register_training_hooks({"policy": "fixed"}, {}, {"interval": 1, "max_keep_ckpts": 1})
    runner.run([loader()], [("train", 1)])
    work = tmp_path / "work"
    assert sorted(path.name for path in work.glob("*.pth")) == ["epoch_3.pth", "latest.pth"]
    assert os.path.realpath(work / "latest.pth") == os.path.realpath(work / "epoch_3.pth")
    fresh = make(max_epochs=3)
    checkpoint = fresh.load_checkpoint(str(work / "latest.pth"))
    assert checkpoint["meta"]["CLASSES"] == ("a", "b")
    assert checkpoint["meta"]["epoch"] == 3
    assert torch.equal(fresh.model.fc.weight, runner.model.fc.weight)


def test_batch_processor(make: Any, loader: Any) -> None:
    model = nn.Linear(2, 2)
    modes = []

    def process(model: Any, data: Any, train_mode: bool) -> dict[str, Any]:
        modes.append(train_mode)
        loss = model(data[0]).square().mean()
        return {"loss": loss, "log_vars": {"loss": loss.item()}, "num_samples": 2}

    runner = make(model, batch_processor=process, max_epochs=1)
    before = model.weight.detach().clone()
    runner.register_training_hooks({"policy": "fixed"}, {})
    runner.run([loader(4), loader(2)], TRAIN_VAL)
    assert modes == [True, True, False]
    assert not torch.equal(before, model.weight)


def test_an_optimizer_hook_of_old_steps_itself(make: Any, loader: Any, parts: SimpleNamespace) -> None:
    @HOOKS.register_module(force=True)
    class OwnOptimizerHook(Hook):
        def after_train_iter(self, runner: Any) -> None:
            runner.optimizer.zero_grad()
            runner.outputs["loss"].backward()
            runner.optimizer.step()

    own, ours = make(max_epochs=2), make(max_epochs=2)
    own.register_training_hooks({"policy": "fixed"}, {"type": "OwnOptimizerHook"})
    ours.register_training_hooks({"policy": "fixed"}, {})
    for runner in (own, ours):
        runner.run([loader()], [("train", 1)])
    for one, other in zip(parts.weights(own.model), parts.weights(ours.model), strict=True):
        assert torch.equal(one, other)


def test_building_leaves_the_generators_alone(make: Any) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    make(torch.nn.Identity(), batch_processor=print, optimizer=None, max_epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_rates_and_momenta_are_told(make: Any) -> None:
    runner = make(max_epochs=1)
    assert runner.current_lr() == [0.1]
    assert runner.current_momentum() == [0.9]
    params = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    both = {
        "g": torch.optim.Adam([params[0]], 0.3, betas=(0.4, 0.9)),
        "d": torch.optim.SGD([params[1]], 0.2),
    }
    runner = make(max_epochs=1, optimizer=both)
    assert runner.current_lr() == {"g": [0.3], "d": [0.2]}
    assert runner.current_momentum() == {"g": [0.4], "d": [0]}


def test_mistakes_are_told(make: Any, loader: Any) -> None:
    with pytest.raises(ConfigError, match=r"only one of max_iters"):
        make(max_epochs=1, max_iters=3)
    with pytest.raises(ConfigError, match=r"no train_step"):
        make(nn.Linear(1, 1), max_epochs=1)
    runner = make(max_epochs=1)
    with pytest.raises(ConfigError, match=r"never trains"):
        runner.run([loader()], [("val", 1)])
    with pytest.raises(ConfigError, match=r"2 for 1"):
        runner.run([loader(), loader()], [("train", 1)])
    with pytest.raises(ConfigError, match=r"did you mean 'poly'"):
        runner.register_training_hooks({"policy": "polly"})
    with pytest.raises(BuildError, match=r"did you mean 'TextLoggerHook'"):
        runner.register_hook({"type": "TextLogerHook"})
    with pytest.raises(TypeError, match=r"did you mean 'before_train_iter'"):
        type("Wrong", (Hook,), {"before_train_iters": lambda self, runner: None})
