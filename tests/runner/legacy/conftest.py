"""A model of MMCV 1.x, its data, and runs of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from toolkit.runner.legacy import EpochBasedRunner, IterBasedRunner


class OldModel(nn.Module):
    """With the steps that MMCV's runners call."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.fc = nn.Linear(2, 2)
        self.seen: list[tuple[bool, list[float]]] = []

    def train_step(self, data: Any, optimizer: Any) -> dict[str, Any]:
        inputs, labels = data
        self.seen.append((self.training, inputs[:, 0].tolist()))
        loss = nn.functional.cross_entropy(self.fc(inputs), labels)
        return {"loss": loss, "log_vars": {"loss": loss.item()}, "num_samples": len(inputs)}

    def val_step(self, data: Any, optimizer: Any) -> dict[str, Any]:
        return self.train_step(data, optimizer)


def numbers(size: int = 8) -> TensorDataset:
    inputs = torch.stack([torch.arange(size) / 8, torch.ones(size)], dim=1)
    return TensorDataset(inputs, torch.arange(size) % 2)


def weights(model: nn.Module) -> list[Tensor]:
    return [param.detach().clone() for param in model.parameters()]


@pytest.fixture
def parts() -> SimpleNamespace:
    return SimpleNamespace(OldModel=OldModel, numbers=numbers, weights=weights)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Any]:
    """Makes a runner: of epochs if `max_epochs` is given, of iterations otherwise."""

    def made(model: nn.Module | None = None, lr: float = 0.1, **changes: Any) -> Any:
        model = OldModel() if model is None else model
        arguments: dict[str, Any] = {"work_dir": str(tmp_path / "work"), **changes}
        if "optimizer" not in arguments:
            arguments["optimizer"] = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        kind = EpochBasedRunner if "max_epochs" in changes else IterBasedRunner
        return kind(model, **arguments)

    return made


@pytest.fixture
def loader() -> Callable[..., Any]:
    def made(size: int = 8, batch_size: int = 2, shuffle: bool = False) -> Any:
        return DataLoader(numbers(size), batch_size, shuffle=shuffle)

    return made
