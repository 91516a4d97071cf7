"""The example that MMEngine's tutorial of its Runner gives: points in the plane, a small network, one metric.

Once from built objects, once from a config file. Everything of the user's is in this file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader, Dataset

from toolkit.config import Config
from toolkit.dataset import default_collate
from toolkit.evaluator import BaseMetric, Evaluator
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.hooks import CheckpointHook, Hook
from toolkit.model import BaseModel
from toolkit.optim import MultiStepLR, OptimWrapper
from toolkit.registry import DATASETS, METRICS, MODELS
from toolkit.runner import EpochBasedTrainLoop, Runner

CONFIG = """
default_scope = 'toolkit'
model = dict(type='TutorialNet', hidden=16)
work_dir = {work_dir!r}
train_dataloader = dict(
    dataset=dict(type='TutorialPoints', is_train=True, size=2000),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    batch_size=25,
    pin_memory=True,
    num_workers=0)
train_cfg = dict(by_epoch=True, max_epochs=6, val_begin=2, val_interval=2)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.02))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[3, 5], gamma=0.1)
val_dataloader = dict(
    dataset=dict(type='TutorialPoints', is_train=False, size=400),
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    batch_size=100,
    num_workers=0)
val_cfg = dict()
val_evaluator = dict(type='TutorialAccuracy')
test_dataloader = val_dataloader
test_cfg = dict(type='TestLoop')
test_evaluator = [dict(type='TutorialAccuracy')]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=40),
    checkpoint=dict(type='CheckpointHook', interval=2, save_best='accuracy'))
launcher = 'none'
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork'), dist_cfg=dict(backend='nccl'))
log_level = 'INFO'
randomness = dict(seed=7)
load_from = None
resume = False
"""


@DATASETS.register_module(force=True)
class TutorialPoints(Dataset):
    """Points of the unit square, and whether they lie above its diagonal."""

    METAINFO = {"classes": ("below", "above")}

    def __init__(self, is_train: bool, size: int) -> None:
        generator = torch.Generator().manual_seed(int(is_train))
        self.points = torch.rand(size, 2, generator=generator)
        self.labels = (self.points[:, 1] > self.points[:, 0]).long()

    @property
    def metainfo(self) -> dict[str, Any]:
        return self.METAINFO

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.points[index], self.labels[index]


@MODELS.register_module(force=True)
class TutorialNet(BaseModel):
    """A hidden layer."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2, hidden), nn.ReLU(), nn.Linear(hidden, 2))

    def forward(self, points: Tensor, labels: Tensor | None = None, mode: str = "tensor") -> Any:
        logits = self.mlp(points)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits, labels)}
        if mode == "predict":
            return [
                {"predicted": one, "label": label}
                for one, label in zip(logits.argmax(1), labels, strict=True)
            ]
        return logits


@METRICS.register_module(force=True)
class TutorialAccuracy(BaseMetric):
    """Share of points on the right side."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [bool(sample["predicted"] == sample["label"]) for sample in data_samples]

    def compute_metrics(self, results: list[bool]) -> dict[str, float]:
        return {"accuracy": sum(results) / len(results)}


class Points(Hook):
    """Writes down what is called, with the counts at that moment."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []
        for point in self.stages:
            setattr(self, point, lambda runner, point=point, **_: self._note(point, runner))

    def _note(self, point: str, runner: Runner) -> None:
        self.calls.append((point, runner.epoch, runner.iter))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "tutorial.py"
    file.write_text(CONFIG.format(work_dir=str(tmp_path / "out")))
    return file


def test_from_built_objects(tmp_path: Path) -> None:
    model = TutorialNet()
    optimizer = SGD(model.parameters(), lr=0.5, momentum=0.9)
    wrapper = OptimWrapper(optimizer)
    runner = Runner(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=DataLoader(TutorialPoints(True, 2000), 25, shuffle=True, collate_fn=default_collate),
        train_cfg={"by_epoch": True, "max_epochs": 4, "val_interval": 2},
        optim_wrapper=wrapper,
        param_scheduler=MultiStepLR(wrapper, milestones=[2, 3], by_epoch=True),
        val_dataloader=DataLoader(TutorialPoints(False, 400), 100, collate_fn=default_collate),
        val_cfg={},
        val_evaluator=Evaluator([TutorialAccuracy()]),
        default_hooks={"checkpoint": CheckpointHook(interval=2)},
        randomness={"seed": 0},
    )
    assert runner.train() is model
    assert runner.val()["accuracy"] > 0.95
    assert (runner.epoch, runner.iter, runner.max_iters) == (4, 320, 320)
    assert isinstance(runner.train_loop, EpochBasedTrainLoop)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.1**2)
    assert sorted(file.name for file in tmp_path.glob("*.pth")) == ["epoch_2.pth", "epoch_4.pth"]


def test_from_a_config_file(config: Path) -> None:
    runner = Runner.from_cfg(Config.fromfile(str(config)))
    runner.train()
    out = config.parent / "out"
    checkpoint = read_checkpoint((out / "last_checkpoint").read_text())
    assert checkpoint["meta"]["epoch"] == 6
    assert checkpoint["meta"]["iter"] == 480
    assert checkpoint["meta"]["seed"] == 7
    assert tuple(checkpoint["meta"]["dataset_meta"]["classes"]) == ("below", "above")
    assert Config.fromstring(checkpoint["meta"]["cfg"], ".py")["train_cfg"]["max_epochs"] == 6
    assert Config.fromfile(str(out / "tutorial.py"))["randomness"]["seed"] == 7

    lines = [json.loads(line) for line in next(out.glob("*/vis_data/scalars.json")).read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == 6 * 2
    assert losses[-1] < losses[0] / 2
    accuracies = [line["accuracy"] for line in lines if "accuracy" in line]
    assert len(accuracies) == 3  # after epochs 2, 4 and 6
    assert accuracies[-1] > 0.95
    log = next(out.glob("*/*.log")).read_text()
    assert "Epoch(train) [1][40/80]" in log


def test_testing_a_checkpoint_gives_the_accuracy_of_validation(config: Path) -> None:
    trained = Runner.from_cfg(Config.fromfile(str(config)))
    trained.train()
    cfg = Config.fromfile(str(config))
    cfg["load_from"] = str(config.parent / "out" / "epoch_6.pth")
    tester = Runner.from_cfg(cfg, mode="test")
    assert tester.test() == pytest.approx(trained.val())


def test_hook_points_come_in_order(config: Path) -> None:
    """The order, and what `epoch` and `iter` are at each point, are those of MMEngine."""
    cfg = Config.fromfile(str(config))
    cfg["train_cfg"] = {"by_epoch": True, "max_epochs": 2, "val_begin": 2, "val_interval": 1}
    cfg["train_dataloader"]["batch_size"] = 1000
    cfg["val_dataloader"]["batch_size"] = 400
    cfg["default_hooks"]["checkpoint"] = None
    seen = Points()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(seen, priority="VERY_LOW")
    runner.train()

    def epoch(number: int) -> list[tuple[str, int, int]]:
        begin = 2 * number
        return [
            ("before_train_epoch", number, begin),
            ("before_train_iter", number, begin),
            ("after_train_iter", number, begin),
            ("before_train_iter", number, begin + 1),
            ("after_train_iter", number, begin + 1),
            ("after_train_epoch", number, begin + 2),
        ]

    names = ("before_val", "before_val_epoch", "before_val_iter", "after_val_iter", "after_val_epoch")
    validation = [(name, 2, 4) for name in (*names, "after_val")]
    assert seen.calls == [
        ("before_run", 0, 0),
        ("before_train", 0, 0),
        *epoch(0),
        *epoch(1),
        *validation,
        ("after_train", 2, 4),
        ("after_run", 2, 4),
    ]


def test_training_by_iteration(config: Path) -> None:
    cfg = Config.fromfile(str(config))
    cfg["train_cfg"] = {"by_epoch": False, "max_iters": 50, "val_begin": 20, "val_interval": 15}
    cfg["train_dataloader"]["sampler"] = {"type": "InfiniteSampler", "shuffle": True}
    cfg["param_scheduler"] = {"type": "MultiStepLR", "by_epoch": False, "milestones": [30, 40]}
    cfg["default_hooks"]["checkpoint"] = {"type": "CheckpointHook", "interval": 25, "by_epoch": False}
    cfg["log_processor"] = {"by_epoch": False}
    seen = Points()
    runner = Runner.from_cfg(cfg)
    runner.register_hook(seen)
    runner.train()
    assert [iteration for point, _, iteration in seen.calls if point == "before_val"] == [30, 45, 50]
    assert runner.optim_wrapper.get_lr()["lr"][0] == pytest.approx(0.02 * 0.01)
    out = config.parent / "out"
    assert sorted(file.name for file in out.glob("*.pth")) == ["iter_25.pth", "iter_50.pth"]
