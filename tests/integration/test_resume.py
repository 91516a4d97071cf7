"""A killed and resumed run ends with the same bits as one that was left alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from toolkit.evaluator import BaseMetric
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.hooks import Hook
from toolkit.model import BaseModel
from toolkit.runner import Runner

SAMPLES, BATCH, EPOCHS = 20, 4, 3  # 5 iterations an epoch, 15 in all
BEST = {"save_best": "score", "rule": "greater"}


class NoisyPoints(Dataset):
    """Points whose noise comes from all three global generators, as augmentations draw it."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.points = torch.rand(SAMPLES, 3, generator=generator)
        self.metainfo = {"classes": ("below", "above")}

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        point = self.points[index]
        noise = torch.tensor([random.random(), np.random.rand(), float(torch.rand(()))])
        return point + 0.1 * noise, int(point.sum() > 1.5)


class Net(BaseModel):
    """Batch norm and dropout: buffers, and random numbers of the training process."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
        )

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        logits = self.net(inputs)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits, data_samples)}
        return [{"score": float(row.max())} for row in logits]


class Score(BaseMetric):
    """Mean of the scores, which the plateau scheduler below follows."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [sample["score"] for sample in data_samples]

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        # Validation may draw random numbers too.
        return {"score": sum(results) / len(results) + random.random() + float(torch.rand(()))}


class Kill(Hook):
    """Ends the process's run, as far as the runner can tell, at some point."""

    priority = "HIGHEST"

    def __init__(self, point: str, iteration: int) -> None:
        self.iteration = iteration
        setattr(self, point, self._strike)

    def _strike(self, runner: Any, **_: Any) -> None:
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


def fit(work_dir: Path, *hooks: Hook, workers: int = 0, resume: bool = False, **changes: Any) -> Runner:
    """Train; `changes` replace arguments of the runner."""
    loader = {
        "dataset": NoisyPoints(),
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "batch_size": BATCH,
        "num_workers": workers,
        "collate_fn": {"type": "default_collate"},
    }
    arguments: dict[str, Any] = {
        "train_dataloader": loader,
        "train_cfg": {"by_epoch": True, "max_epochs": EPOCHS},
        "val_dataloader": {
            **loader,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "num_workers": 0,
        },
        "val_cfg": {},
        "val_evaluator": Score(),
        "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "end": 7},
            {"type": "MultiStepLR", "milestones": [1, 2]},
            {"type": "ReduceOnPlateauLR", "monitor": "score", "patience": 0, "rule": "greater"},
        ],
        "default_hooks": {"checkpoint": {"interval": 1, "by_epoch": False, **BEST}},
        "custom_hooks": [{"type": "EMAHook", "momentum": 0.1}, *hooks],
        "randomness": {"seed": 3},
        "log_level": "ERROR",
    }
    arguments.update(changes)
    torch.manual_seed(99)  # what the process did before must not matter
    runner = Runner(model=Net(), work_dir=str(work_dir), resume=resume, **arguments)
    runner.train()
    return runner


def final_state(runner: Runner, work_dir: Path) -> dict[str, Any]:
    """All of the end that must agree: weights, average, optimizer, schedulers, hooks, generators."""
    name = (work_dir / "last_checkpoint").read_text()
    checkpoint = read_checkpoint(name)
    keys = ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "rng", "loop")
    state = {key: checkpoint[key] for key in keys if key in checkpoint}
    state["model"] = runner.model.state_dict()
    state["best"] = {
        key: best["score"] for key, best in checkpoint["hooks"]["CheckpointHook"]["best"].items()
    }
    return state


def assert_same(one: Any, other: Any, where: str = "state") -> None:
    """Equal to the last bit."""
    assert type(one) is type(other), where
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{where}[{place}]")
    else:
        assert one == other, where


def check_resumed(tmp_path: Path, point: str, iteration: int, **changes: Any) -> None:
    """Compare an uninterrupted run with one that was killed once."""
    whole = fit(tmp_path / "whole", **changes)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", Kill(point, iteration), **changes)
    resumed = fit(tmp_path / "cut", resume=True, **changes)
    assert resumed.iter == whole.iter
    assert_same(final_state(whole, tmp_path / "whole"), final_state(resumed, tmp_path / "cut"))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("point", "iteration"),
    [
        ("before_train_iter", 3),  # within the first epoch
        ("before_train_iter", 9),  # before the last iteration of the second
        ("before_train_epoch", 5),  # between epochs, after the validation
        ("before_val_iter", 10),  # within a validation: it is run again
    ],
)
def test_epochs(tmp_path: Path, workers: int, point: str, iteration: int) -> None:
    check_resumed(tmp_path, point, iteration, workers=workers)


@pytest.mark.parametrize("point", ["after_train_epoch", "before_val_epoch"])
def test_epochs_saved_by_epoch(tmp_path: Path, point: str) -> None:
    """The checkpoint is a whole epoch old, or made before a validation that never ran."""
    hooks = {"checkpoint": {"interval": 1, **BEST}}
    check_resumed(tmp_path, point, 10, default_hooks=hooks)


@pytest.mark.parametrize("sampler", ["InfiniteSampler", "DefaultSampler"])
@pytest.mark.parametrize(("point", "iteration"), [("before_train_iter", 7), ("before_val_iter", 6)])
def test_iterations(tmp_path: Path, sampler: str, point: str, iteration: int) -> None:
    """Iteration 7 lies in the second pass over the data; validation is due after 6 and 12."""
    loader = {
        "dataset": NoisyPoints(),
        "sampler": {"type": sampler},
        "batch_size": BATCH,
        "collate_fn": {"type": "default_collate"},
    }
    check_resumed(
        tmp_path,
        point,
        iteration,
        train_dataloader=loader,
        train_cfg={"by_epoch": False, "max_iters": 14, "val_interval": 6},
        param_scheduler=[{"type": "PolyLR", "by_epoch": False, "end": 14}],
    )


class SaveAndKill(Hook):
    """Saves where a batch is drawn but not trained on yet, and ends the run."""

    priority = "HIGHEST"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == 7:
            runner.save_checkpoint(runner.work_dir, "mid.pth", meta={"iter": 7}, by_epoch=False)
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "train_cfg", [{"by_epoch": True, "max_epochs": 3}, {"by_epoch": False, "max_iters": 14}]
)
def test_saved_before_a_step(tmp_path: Path, train_cfg: dict[str, Any]) -> None:
    whole = fit(tmp_path / "whole", train_cfg=train_cfg)
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", SaveAndKill(), train_cfg=train_cfg)
    assert (tmp_path / "cut" / "last_checkpoint").read_text().endswith("mid.pth")
    resumed = fit(tmp_path / "cut", train_cfg=train_cfg, resume=True)
    assert_same(final_state(whole, tmp_path / "whole"), final_state(resumed, tmp_path / "cut"))


@pytest.mark.parametrize("iteration", [4, 5, 6])
def test_within_an_accumulation(tmp_path: Path, iteration: int) -> None:
    """Gradients that wait for their step are part of the state."""
    wrapper = {
        "optimizer": {"type": "AdamW", "lr": 0.01},
        "accumulative_counts": 3,
        "clip_grad": {"max_norm": 0.5},
    }
    check_resumed(tmp_path, "before_train_iter", iteration, optim_wrapper=wrapper)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataloader_of_the_users_own(tmp_path: Path, workers: int) -> None:
    """torch's own DataLoader draws its order and its workers' seeds from the global generator."""
    loader = DataLoader(NoisyPoints(), BATCH, shuffle=True, num_workers=workers)
    check_resumed(tmp_path, "before_train_iter", 8, train_dataloader=loader)


def test_killed_three_times(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    for iteration in (2, 6, 13):
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path / "cut", Kill("before_train_iter", iteration), resume=True)
    resumed = fit(tmp_path / "cut", resume=True)
    assert_same(final_state(whole, tmp_path / "whole"), final_state(resumed, tmp_path / "cut"))


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path: Path) -> None:
    whole = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "cut", Kill("before_train_iter", 8))
    newest = Path((tmp_path / "cut" / "last_checkpoint").read_text())
    assert newest.name == "iter_8.pth"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 0xFF
    newest.write_bytes(content)
    resumed = fit(tmp_path / "cut", resume=True)
    assert_same(final_state(whole, tmp_path / "whole"), final_state(resumed, tmp_path / "cut"))


def test_a_drawn_seed_is_that_of_the_resumed_run_too(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, Kill("before_train_iter", 4), randomness={})
    seed = read_checkpoint((tmp_path / "last_checkpoint").read_text())["meta"]["seed"]
    resumed = fit(tmp_path, resume=True, randomness={})
    assert resumed.seed == seed
    assert resumed.train_dataloader.dataset.seed == seed
    assert resumed.cfg["randomness"]["seed"] == seed
