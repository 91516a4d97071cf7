"""Two processes with DDP make the weights that one makes with twice the batch; ZeRO makes them too."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.utils.data import Dataset

from toolkit.dist import barrier, get_rank
from toolkit.model import BaseModel
from toolkit.optim import ZeroRedundancyOptimizer
from toolkit.runner import Runner
from toolkit.utils import BuildError

WORLD = 2
SGD = {"type": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}
ADAM = {"type": "AdamW", "lr": 0.02, "weight_decay": 0.1}
ZERO = {**ADAM, "type": "ZeroRedundancyOptimizer", "optimizer_type": "AdamW"}


class Points(Dataset):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = torch.tensor([index / 16, 1 - index / 8])
        return x, (3 * x).sin().sum()


class Net(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(2, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 1))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        return {"loss": (self.net(inputs)[:, 0] - data_samples).square().mean()}


def fit(folder: str, optimizer: dict[str, Any], batch_size: int, launcher: str, **rest: Any) -> Runner:
    runner = Runner(
        model=Net(),
        work_dir=folder,
        train_dataloader={
            "dataset": Points(),
            "batch_size": batch_size,
            "sampler": {"type": "DefaultSampler", "shuffle": True},
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": True, "max_epochs": rest.pop("max_epochs", 4)},
        optim_wrapper={
            "optimizer": optimizer,
            "paramwise_cfg": {"norm_decay_mult": 0.0},
            "clip_grad": {"max_norm": 1.0},
        },
        randomness={"seed": 1},
        launcher=launcher,
        env_cfg={"dist_cfg": {"backend": "gloo"}, "device": "cpu"},
        log_level="ERROR",
        **rest,
    )
    runner.train()
    return runner


def weights(runner: Runner) -> dict[str, Tensor]:
    return getattr(runner.model, "module", runner.model).state_dict()


def _process(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(WORLD))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    found: dict[str, Any] = {"sgd": weights(fit(f"{folder}/sgd", SGD, 2, "pytorch"))}
    zero = fit(f"{folder}/zero", ZERO, 2, "pytorch")
    found["zero"] = weights(zero)
    optimizer = zero.optim_wrapper.optimizer
    assert isinstance(optimizer, ZeroRedundancyOptimizer)
    found["kept"] = sum(len(state) > 0 for state in optimizer.optim.state.values())
    fit(f"{folder}/cut", ZERO, 2, "pytorch", max_epochs=2)
    found["resumed"] = weights(fit(f"{folder}/cut", ZERO, 2, "pytorch", resume=True))
    torch.save(found, f"{folder}/{get_rank()}.pt")
    barrier()  # rank 0 holds the store that the other one still talks to


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    mp.start_processes(_process, args=(port, str(folder)), nprocs=WORLD, start_method="spawn")
    return [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in range(WORLD)]


@pytest.mark.parametrize(("optimizer", "key"), [(SGD, "sgd"), (ADAM, "zero"), (ADAM, "resumed")])
def test_as_one_process_with_twice_the_batch(
    two: list[dict[str, Any]], optimizer: dict[str, Any], key: str, tmp_path: Path
) -> None:
    wanted = weights(fit(str(tmp_path), optimizer, 4, "none"))
    start = Net().state_dict()
    for name, value in wanted.items():
        assert not torch.allclose(value, start[name], atol=1e-3)
        for rank in two:
            torch.testing.assert_close(rank[key][name], value, rtol=0, atol=1e-6, msg=name)


def test_each_process_keeps_a_share_of_the_state(two: list[dict[str, Any]]) -> None:
    kept = [rank["kept"] for rank in two]
    assert sum(kept) == len(list(Net().parameters()))
    assert min(kept) > 0


def test_zero_needs_several_processes_and_a_known_type() -> None:
    with pytest.raises(BuildError, match="start it with a launcher"):
        ZeroRedundancyOptimizer(Net().parameters(), "AdamW", lr=0.1)
    with pytest.raises(BuildError, match="did you mean 'AdamW'"):
        ZeroRedundancyOptimizer(Net().parameters(), "AdmW", lr=0.1)
