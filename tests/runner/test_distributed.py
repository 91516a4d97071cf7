"""A run of two processes that talk over gloo: they agree, and one that was killed resumes exactly."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from toolkit.dist import barrier, get_rank
from toolkit.evaluator import BaseMetric
from toolkit.hooks import Hook
from toolkit.model import BaseModel
from toolkit.runner import Runner

WORLD = 2


class Numbers(Dataset):
    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.tensor([index / 10, 1.0]) + 0.1 * torch.rand(2), index


class Net(BaseModel):
    """Dropout draws from each rank's own generator."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.4), nn.Linear(8, 1))

    def forward(self, inputs: Tensor, data_samples: Any = None, mode: str = "tensor") -> Any:
        out = self.net(inputs)[:, 0]
        if mode == "loss":
            return {"loss": (out - data_samples / 10).square().mean()}
        return [{"index": int(index)} for index in data_samples]


class Indices(BaseMetric):
    def __init__(self, count: int = 10) -> None:
        super().__init__()
        self.count = count

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += [sample["index"] for sample in data_samples]

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        return {"in_order": float(results == list(range(self.count)))}


class Kill(Hook):
    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == 4:
            raise KeyboardInterrupt


def _fit(folder: str, *hooks: Hook, resume: bool = False) -> Runner:
    torch.manual_seed(0)  # the weights of a model that is built beforehand
    loader = {"dataset": Numbers(), "batch_size": 2, "collate_fn": {"type": "default_collate"}}
    runner = Runner(
        model=Net(),
        work_dir=folder,
        train_dataloader={**loader, "sampler": {"type": "DefaultSampler", "shuffle": True}},
        train_cfg={"by_epoch": True, "max_epochs": 3},
        val_dataloader={**loader, "sampler": {"type": "DefaultSampler", "shuffle": False}},
        val_cfg={},
        val_evaluator=Indices(),
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        default_hooks={"checkpoint": {"interval": 1, "by_epoch": False}},
        custom_hooks=list(hooks),
        randomness={"seed": 1, "diff_rank_seed": True},
        launcher="pytorch",
        env_cfg={"dist_cfg": {"backend": "gloo"}, "device": "cpu"},
        resume=resume,
        log_level="ERROR",
    )
    runner.train()
    return runner


def _validate_sets(folder: str) -> dict[str, Any]:
    """Two named sets, of which the second has a sample too few for both ranks."""
    loader = {
        "batch_size": 2,
        "collate_fn": {"type": "default_collate"},
        "sampler": {"type": "DefaultSampler", "shuffle": False},
    }
    short = Subset(Numbers(), range(9))
    runner = Runner(
        model=Net(),
        work_dir=folder,
        val_dataloader={"all": {**loader, "dataset": Numbers()}, "short": {**loader, "dataset": short}},
        val_cfg={},
        val_evaluator={"all": Indices(), "short": Indices(9)},
        launcher="pytorch",
        env_cfg={"dist_cfg": {"backend": "gloo"}, "device": "cpu"},
        log_level="ERROR",
    )
    return runner.val()


def _process(rank: int, port: int, folder: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(WORLD))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    whole = _fit(f"{folder}/whole")
    with pytest.raises(KeyboardInterrupt):
        _fit(f"{folder}/cut", Kill())
    resumed = _fit(f"{folder}/cut", resume=True)
    found = {
        "whole": whole.model.module.state_dict(),
        "resumed": resumed.model.module.state_dict(),
        "counts": (resumed.epoch, resumed.iter, whole.max_iters),
        "noise": float(torch.rand(())),
        "metrics": whole.val(),
        "sets": _validate_sets(f"{folder}/sets"),
        "names": (whole.timestamp, whole.experiment_name),
    }
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


def test_ranks_have_the_same_weights_and_names(two: list[dict[str, Any]]) -> None:
    for key, value in two[0]["whole"].items():
        assert torch.equal(value, two[1]["whole"][key])
    assert two[0]["names"] == two[1]["names"]
    assert two[0]["counts"] == (3, 9, 9)  # 10 samples, 2 ranks, batches of 2


def test_each_rank_draws_numbers_of_its_own(two: list[dict[str, Any]]) -> None:
    assert two[0]["noise"] != two[1]["noise"]


def test_a_killed_run_resumes_exactly(two: list[dict[str, Any]]) -> None:
    for rank in two:
        for key, value in rank["whole"].items():
            assert torch.equal(value, rank["resumed"][key])


def test_results_are_put_together(two: list[dict[str, Any]]) -> None:
    assert [rank["metrics"] for rank in two] == [{"in_order": 1.0}] * 2


def test_named_sets_are_gathered_one_by_one(two: list[dict[str, Any]]) -> None:
    for rank in two:
        assert rank["sets"] == {"all/in_order": 1.0, "short/in_order": 1.0}
