"""The functions of `dist`, alone and in two processes, written once for both."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp

from toolkit import dist


def everything(rank: int, world: int) -> dict[str, Any]:
    """What each function gives in a process."""
    data = torch.arange(2, dtype=torch.int64) + 1 + 2 * rank
    found: dict[str, Any] = {"info": dist.get_dist_info(), "distributed": dist.is_distributed()}
    found["gathered"] = [one.tolist() for one in dist.all_gather(data)]
    gathered = dist.gather(data, dst=0)
    found["on rank 0"] = [one.tolist() for one in gathered]
    summed, mean = data.clone(), data.float()
    dist.all_reduce(summed)
    dist.all_reduce(mean, op="mean")
    found["sum"], found["mean"] = summed.tolist(), mean.tolist()
    sent = data.clone()
    dist.broadcast(sent, src=0)
    found["sent"] = sent.tolist()
    objects: list[Any] = [{"rank": rank}, "x"]
    found["objects"] = dist.all_gather_object(objects[0])
    dist.broadcast_object_list(objects)
    found["sent objects"] = objects
    losses = {"loss": torch.tensor(float(rank))}
    dist.all_reduce_dict(losses, op="sum")
    found["losses"] = losses["loss"].item()
    found["collected"] = dist.collect_results([rank, rank + world], size=2 * world - 1, device="cpu")
    found["seed"] = dist.sync_random_seed()

    @dist.master_only
    def on_master() -> str:
        return "called"

    found["master"] = on_master()
    found["is master"] = dist.is_main_process()
    dist.barrier()
    return found


def process(rank: int, port: int, folder: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_dist("pytorch", backend="gloo")
    torch.save(everything(rank, 2), Path(folder, f"{rank}.pt"))
    dist.barrier()


def test_alone() -> None:
    found = everything(0, 1)
    found.pop("seed")
    assert found == {
        "info": (0, 1),
        "distributed": False,
        "gathered": [[1, 2]],
        "on rank 0": [[1, 2]],
        "sum": [1, 2],
        "mean": [1, 2],
        "sent": [1, 2],
        "objects": [{"rank": 0}],
        "sent objects": [{"rank": 0}, "x"],
        "losses": 0,
        "collected": [0],
        "master": "called",
        "is master": True,
    }


def test_two_processes(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    mp.spawn(process, args=(port, str(tmp_path)), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert ranks[0].pop("seed") == ranks[1].pop("seed")
    same = {
        "distributed": True,
        "gathered": [[1, 2], [3, 4]],
        "sum": [4, 6],
        "mean": [2, 3],
        "sent": [1, 2],
        "objects": [{"rank": 0}, {"rank": 1}],
        "sent objects": [{"rank": 0}, "x"],
        "losses": 1,
    }
    first = {"info": (0, 2), "on rank 0": [[1, 2], [3, 4]], "collected": [0, 1, 2], "master": "called"}
    assert ranks[0] == {**same, **first, "is master": True}
    other = {"info": (1, 2), "on rank 0": [], "collected": None, "master": None, "is master": False}
    assert ranks[1] == {**same, **other}
