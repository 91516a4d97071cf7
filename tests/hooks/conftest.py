"""A runner that trains a line through points, small enough to be run many times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from toolkit.evaluator import BaseMetric
from toolkit.model import BaseModel
from toolkit.runner import Runner

BATCHES, BATCH_SIZE = 4, 2


class Points(Dataset):
    """Points on the line y = 2x + 1."""

    metainfo = {"classes": ("line",)}

    def __len__(self) -> int:
        return BATCHES * BATCH_SIZE

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        x = torch.tensor([index / 8.0])
        return {"x": x, "y": 2 * x + 1}


class Line(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.fit = nn.Linear(1, 1)
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor, y: Tensor, mode: str = "tensor") -> Any:
        found = self.fit(x)
        if mode == "loss":
            self.seen += 1
            return {"loss": (found - y).square().mean()}
        return [found] if mode == "predict" else found


class Scores(BaseMetric):
    """Gives the scores it was made with, one a validation."""

    def __init__(self, *scores: float, name: str = "acc") -> None:
        super().__init__()
        self.scores, self.name = iter(scores), name

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(0)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {self.name: next(self.scores)}


class MeanError(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(float((data_samples[0] - data_batch["y"]).abs().mean()))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        return {"loss_mean": sum(results) / len(results)}


def loader() -> DataLoader:
    return DataLoader(Points(), batch_size=BATCH_SIZE)


@pytest.fixture
def make_runner(tmp_path: Path) -> Callable[..., Runner]:
    """Makes a runner of three epochs of four iterations; `metric` adds validation."""

    def make(metric: BaseMetric | None = None, **changes: Any) -> Runner:
        torch.manual_seed(0)
        parts: dict[str, Any] = {
            "model": Line(),
            "work_dir": str(tmp_path / "work"),
            "train_dataloader": loader(),
            "train_cfg": {"by_epoch": True, "max_epochs": 3},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
            "randomness": {"seed": 0},
            "env_cfg": {"device": "cpu"},
        }
        if metric is not None:
            parts |= {"val_dataloader": loader(), "val_cfg": {}, "val_evaluator": metric}
        return Runner(**(parts | changes))

    return make


@pytest.fixture
def scores() -> type[Scores]:
    return Scores


@pytest.fixture
def mean_error() -> type[MeanError]:
    return MeanError


@pytest.fixture
def make_loader() -> Callable[[], DataLoader]:
    return loader
