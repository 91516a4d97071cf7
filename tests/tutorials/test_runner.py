"""The runner: from parts or from a config, to train, to resume, to load weights, to evaluate alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from toolkit.config import Config
from toolkit.registry import LOOPS
from toolkit.runner import EpochBasedTrainLoop, Runner, ValLoop

Make = Callable[..., Runner]


def test_training_validates_and_saves(make: Make, evaluated: dict[str, Any], tmp_path: Path) -> None:
    train_cfg = {"by_epoch": True, "max_epochs": 20, "val_begin": 10, "val_interval": 10}
    checkpoint = {"checkpoint": {"type": "CheckpointHook", "interval": 10}}
    runner = make(train_cfg=train_cfg, default_hooks=checkpoint, **evaluated)
    before = make(work_dir=str(tmp_path / "other"), **evaluated).val()["toy/accuracy"]
    runner.train()
    assert runner.val()["toy/accuracy"] > before
    assert (runner.epoch, runner.iter) == (20, 40)
    assert isinstance(runner.train_loop, EpochBasedTrainLoop)
    assert isinstance(runner.val_loop, ValLoop)
    assert {path.name for path in (tmp_path / "run").glob("*.pth")} == {"epoch_10.pth", "epoch_20.pth"}


def test_a_config_is_the_same_runner(make: Make, tmp_path: Path, toy: SimpleNamespace) -> None:
    file = tmp_path / "toy.py"
    file.write_text(
        "model = dict(type='ToyLinear')\n"
        f"work_dir = {str(tmp_path / 'cfg')!r}\n"
        f"train_dataloader = {toy.loader(shuffle=True)!r}\n"
        "train_cfg = dict(by_epoch=True, max_epochs=2)\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
        "randomness = dict(seed=0)\n"
        "default_scope = 'toolkit'\n"
    )
    one, other = make(), Runner.from_cfg(Config.fromfile(str(file)))
    one.train()
    other.train()
    for name, value in one.model.state_dict().items():
        assert value.equal(other.model.state_dict()[name])
    assert Config.fromfile(str(tmp_path / "cfg" / "toy.py")).train_cfg.max_epochs == 2


def test_a_run_resumes(make: Make, tmp_path: Path) -> None:
    whole = make(work_dir=str(tmp_path / "whole"), train_cfg={"by_epoch": True, "max_epochs": 4})
    whole.train()
    make().train()
    more = make(train_cfg={"by_epoch": True, "max_epochs": 4}, resume=True)
    more.train()
    assert more.iter == 8
    assert more.model.linear.weight.equal(whole.model.linear.weight)
    begin = str(tmp_path / "run" / "epoch_2.pth")
    named = make(train_cfg={"by_epoch": True, "max_epochs": 4}, resume=True, load_from=begin)
    named.train()
    assert named.iter == 8
    assert named.model.linear.weight.equal(whole.model.linear.weight)


def test_weights_alone_are_loaded(make: Make, evaluated: dict[str, Any], tmp_path: Path) -> None:
    trained = make()
    trained.train()
    tester = make(
        work_dir=str(tmp_path / "test"),
        load_from=str(tmp_path / "run" / "epoch_2.pth"),
        **{key.replace("val_", "test_"): value for key, value in evaluated.items()},
    )
    assert set(tester.test()) == {"toy/accuracy"}
    assert tester.model.linear.weight.equal(trained.model.linear.weight)
    assert tester.iter == 0


def test_a_loop_of_ones_own(make: Make) -> None:
    @LOOPS.register_module(force=True)
    class HalvedLoop(EpochBasedTrainLoop):
        """Trains with half of each batch."""

        def run_iter(self, idx: int, data_batch: Any) -> None:
            sizes.append(len(data_batch["inputs"]) // 2)
            super().run_iter(idx, {key: value[: sizes[-1]] for key, value in data_batch.items()})

    sizes: list[int] = []
    runner = make(train_cfg={"type": "HalvedLoop", "max_epochs": 1})
    runner.train()
    assert isinstance(runner.train_loop, HalvedLoop)
    assert sizes == [2, 2]


def test_iterations_instead_of_epochs(make: Make, toy: SimpleNamespace) -> None:
    dataloader = {**toy.loader(), "sampler": {"type": "InfiniteSampler", "shuffle": True}}
    runner = make(train_cfg={"by_epoch": False, "max_iters": 7}, train_dataloader=dataloader)
    runner.train()
    assert runner.iter == 7


def test_seeds_make_runs_the_same(make: Make, tmp_path: Path) -> None:
    weights = []
    for index, seed in enumerate((5, 5, 6)):
        runner = make(work_dir=str(tmp_path / str(index)), randomness={"seed": seed, "deterministic": False})
        runner.train()
        weights.append(runner.model.linear.weight.detach().clone())
    assert weights[0].equal(weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_training_needs_its_three_parts(make: Make) -> None:
    with pytest.raises(ValueError, match="train_cfg"):
        make(train_cfg=None).train()
