"""A run so small that a test makes dozens."""

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
from toolkit.runner import Runner


class Numbers(Dataset):
    """Sample `i` is the vector (i, 1), its label i modulo 2."""

    metainfo = {"classes": ("even", "odd")}

    def __init__(self, size: int = 8) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.tensor([float(index), 1.0]), index % 2


class Line(BaseModel):
    """A linear layer; counts what is asked of it."""

    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.fc = nn.Linear(2, width)
        self.seen: list[Any] = []

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        self.seen.append((mode, self.training, torch.is_grad_enabled(), inputs[:, 0].tolist()))
        logits = self.fc(inputs / 8)
        if mode == "loss":
            return {"loss": nn.functional.cross_entropy(logits, data_samples)}
        return [{"label": int(row.argmax())} for row in logits]


class Count(BaseMetric):
    """How many samples there were."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += list(data_samples)

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        return {"count": float(len(results))}


def loader(size: int = 8, batch_size: int = 2, shuffle: bool = False) -> dict[str, Any]:
    return {
        "dataset": Numbers(size),
        "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
        "batch_size": batch_size,
        "collate_fn": {"type": "default_collate"},
    }


@pytest.fixture
def parts() -> SimpleNamespace:
    """The classes above, for tests that need others of their kind."""
    return SimpleNamespace(Numbers=Numbers, Line=Line, Count=Count, loader=loader)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Runner]:
    """Makes a runner for 2 epochs of 4 iterations, with changes."""

    def made(**changes: Any) -> Runner:
        arguments: dict[str, Any] = {
            "model": Line(),
            "work_dir": str(tmp_path / "work"),
            "train_dataloader": loader(),
            "train_cfg": {"by_epoch": True, "max_epochs": 2},
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
            "val_dataloader": loader(6, 4),
            "val_cfg": {},
            "val_evaluator": Count(),
            "test_dataloader": loader(5, 4),
            "test_cfg": {},
            "test_evaluator": [Count()],
            "randomness": {"seed": 0},
            "log_level": "WARNING",
        }
        return Runner(**{**arguments, **changes})

    return made
