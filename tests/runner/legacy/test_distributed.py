"""Two processes over gloo take the steps that one takes on batches of twice the size."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

from toolkit.dist import get_rank, init_dist
from toolkit.runner.legacy import EpochBasedRunner


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def train_step(self, data: Any, optimizer: Any) -> dict[str, Any]:
        loss = nn.functional.cross_entropy(self.fc(data[0]), data[1])
        return {"loss": loss, "log_vars": {"loss": loss.item()}, "num_samples": len(data[0])}


def trained(folder: str, rank: int, world: int) -> list[Tensor]:
    # Each process begins with weights of its own: those of rank 0 count.
    torch.manual_seed(rank)
    model = Model()
    inputs = torch.stack([torch.arange(16) / 8, torch.ones(16)], dim=1)
    data = Subset(TensorDataset(inputs, torch.arange(16) % 2), range(rank, 16, world))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    runner = EpochBasedRunner(model, optimizer=optimizer, work_dir=folder, max_epochs=2)
    accumulate = {"type": "GradientCumulativeOptimizerHook", "cumulative_iters": 2}
    clip = {"grad_clip": {"max_norm": 0.3}}
    runner.register_training_hooks({"policy": "fixed"}, {**accumulate, **clip}, {"interval": 1})
    runner.run([DataLoader(data, 4 // world)], [("train", 1)])
    return [param.detach() for param in model.parameters()]


def process(rank: int, port: int, folder: str) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    torch.set_num_threads(1)
    init_dist("pytorch", backend="gloo")
    weights = trained(folder, get_rank(), 2)
    torch.save(weights, Path(folder) / f"rank{rank}.pt")


def test_gradients_are_averaged(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(process, args=(port, str(tmp_path)), nprocs=2)
    alone = trained(str(tmp_path / "alone"), 0, 1)
    for rank in range(2):
        shared = torch.load(tmp_path / f"rank{rank}.pt")
        for one, other in zip(shared, alone, strict=True):
            assert torch.allclose(one, other, atol=1e-6)
    assert (tmp_path / "latest.pth").exists()
