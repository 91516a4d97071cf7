"""The parts that the tutorials train with: a few points, a linear layer, an accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from toolkit.evaluator import BaseMetric
from toolkit.model import BaseModel
from toolkit.registry import DATASETS, METRICS, MODELS
from toolkit.runner import Runner


@DATASETS.register_module(force=True)
class ToyPoints(Dataset):
    """Points of a plane and on which side of a line they are."""

    metainfo = {"classes": ("left", "right")}

    def __init__(self, size: int = 8) -> None:
        self.points = torch.randn(size, 2, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict[str, Any]:
        point = self.points[index]
        return {"inputs": point, "data_samples": int(point[0] > 0)}


@MODELS.register_module(force=True)
class ToyLinear(BaseModel):
    """One linear layer, by the protocol of `BaseModel`."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(2, classes)

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        logits = self.linear(inputs)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits, data_samples)}
        if mode == "predict":
            return [
                {"pred": int(row.argmax()), "gt": int(label)}
                for row, label in zip(logits, data_samples, strict=True)
            ]
        return logits


@METRICS.register_module(force=True)
class ToyAccuracy(BaseMetric):
    """Share of right predictions."""

    default_prefix = "toy"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [sample["pred"] == sample["gt"] for sample in data_samples]

    def compute_metrics(self, results: list[bool]) -> dict[str, float]:
        return {"accuracy": sum(results) / len(results)}


def loader(size: int = 8, batch_size: int = 4, shuffle: bool = False) -> dict[str, Any]:
    return {
        "dataset": {"type": "ToyPoints", "size": size},
        "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
        "batch_size": batch_size,
        "collate_fn": {"type": "default_collate"},
        "num_workers": 0,
    }


@pytest.fixture
def toy() -> SimpleNamespace:
    """The classes above."""
    return SimpleNamespace(Points=ToyPoints, Linear=ToyLinear, Accuracy=ToyAccuracy, loader=loader)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Runner]:
    """Makes a runner of 2 epochs with 2 iterations each, with changes."""

    def made(**changes: Any) -> Runner:
        arguments: dict[str, Any] = {
            "model": {"type": "ToyLinear"},
            "work_dir": str(tmp_path / "run"),
            "train_dataloader": loader(shuffle=True),
            "train_cfg": {"by_epoch": True, "max_epochs": 2},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
            "randomness": {"seed": 0},
            "default_scope": "toolkit",
        }
        return Runner(**{**arguments, **changes})

    return made


@pytest.fixture
def evaluated() -> dict[str, Any]:
    """The arguments that a validation takes."""
    return {"val_dataloader": loader(), "val_cfg": {}, "val_evaluator": {"type": "ToyAccuracy"}}
