"""The collectives, in one process and in two that talk over gloo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

from toolkit import dist
from toolkit.utils.errors import ConfigError

WORLD = 2
ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _process(rank: int, port: int, folder: str) -> None:
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(WORLD),
        LOCAL_WORLD_SIZE=str(WORLD),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    dist.init_dist("pytorch", backend="gloo", timeout=60)
    torch.save(_everything(rank, folder), Path(folder, f"{rank}.pt"))
    dist.barrier()  # rank 0 holds the store that the other one still talks to


def _everything(rank: int, folder: str) -> dict[str, Any]:
    """Call all that there is; the parent compares."""
    found: dict[str, Any] = {
        "info": (dist.get_dist_info(), dist.get_local_rank(), dist.get_local_size(), dist.get_backend()),
        "main": dist.is_main_process(),
        "master_only": dist.master_only(lambda: "done")(),
    }
    for op in ("band", "bor", "bxor"):
        bits = torch.tensor([1 + 2 * rank, 6 - rank])
        dist.all_reduce(bits, op)
        found[op] = bits
    params = (torch.full((size,), float(rank + 1)) for size in (3, 100_000, 200_000, 5))
    kept = list(params)
    dist.all_reduce_params(iter(kept), bucket_size_mb=1, op="mean")
    found["params"] = [(len(one), one.unique().tolist()) for one in kept]
    dist.init_local_group(rank, 1)  # as if each were a machine of its own
    alone = torch.tensor([1.0 + rank])
    dist.all_reduce(alone, group=dist.get_local_group())
    found["local"] = (alone.item(), dist.get_world_size(dist.get_local_group()))
    found["object_at_one"] = dist.gather_object(f"of {rank}", dst=1)
    for op in ("sum", "mean", "product", "min", "max"):
        value = torch.tensor([1.0 + rank, 4.0 - rank])
        dist.all_reduce(value, op)
        found[op] = value
    tensors = {"a": torch.full((2, 3), float(rank)), "b": torch.tensor(5 + rank), "c": torch.ones(4) * rank}
    dist.all_reduce_dict(tensors)
    found["dict"] = tensors
    found["gathered"] = dist.all_gather(torch.tensor([rank]))
    found["at_one"] = dist.gather(torch.tensor([rank]), dst=1)
    sent = torch.tensor([7.0 if rank == 0 else 0.0])
    dist.broadcast(sent)
    found["broadcast"] = sent
    found["objects"] = dist.all_gather_object({"rank": rank})
    items = [f"of {rank}", None if rank else 3]
    dist.broadcast_object_list(items)
    found["items"] = items
    found["seed"] = dist.sync_random_seed()
    part = list(range(rank, 6, WORLD))  # what a sampler hands out of 5 samples, filled up to 6
    found["cpu"] = dist.collect_results(part, 5, "cpu", tmpdir=folder)
    found["gpu"] = dist.collect_results(part, 5, "gpu")
    dist.barrier()
    return found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two processes found."""
    folder = str(tmp_path_factory.mktemp("ranks"))
    mp.start_processes(_process, args=(_free_port(), folder), nprocs=WORLD, start_method="spawn")
    return [torch.load(Path(folder, f"{rank}.pt"), weights_only=True) for rank in range(WORLD)]


def test_who_is_who(two: list[dict[str, Any]]) -> None:
    assert [each["info"] for each in two] == [((0, 2), 0, 2, "gloo"), ((1, 2), 1, 2, "gloo")]
    assert [each["main"] for each in two] == [True, False]
    assert [each["master_only"] for each in two] == ["done", None]


def test_reductions(two: list[dict[str, Any]]) -> None:
    wanted = {"sum": [3, 7], "mean": [1.5, 3.5], "product": [2, 12], "min": [1, 3], "max": [2, 4]}
    for each in two:
        assert {op: each[op].tolist() for op in wanted} == wanted
        assert each["dict"]["a"].tolist() == [[1.0] * 3] * 2
        assert each["dict"]["b"].item() == 11
        assert each["dict"]["c"].tolist() == [1.0] * 4


def test_reductions_of_bits_of_many_and_of_a_machine(two: list[dict[str, Any]]) -> None:
    for rank, each in enumerate(two):
        # 1 and 3, 6 and 5
        assert [each[op].tolist() for op in ("band", "bor", "bxor")] == [[1, 4], [3, 7], [2, 3]]
        assert each["params"] == [(3, [1.5]), (100_000, [1.5]), (200_000, [1.5]), (5, [1.5])]
        assert each["local"] == (1.0 + rank, 1)
    assert [each["object_at_one"] for each in two] == [None, ["of 0", "of 1"]]


def test_exchanges(two: list[dict[str, Any]]) -> None:
    for each in two:
        assert [int(t) for t in each["gathered"]] == [0, 1]
        assert each["broadcast"].item() == 7
        assert each["objects"] == [{"rank": 0}, {"rank": 1}]
        assert each["items"] == ["of 0", 3]
    assert [len(each["at_one"]) for each in two] == [0, 2]
    assert two[0]["seed"] == two[1]["seed"]


@pytest.mark.parametrize("way", ["cpu", "gpu"])
def test_results_come_back_in_order_and_cut(two: list[dict[str, Any]], way: str) -> None:
    assert two[0][way] == [0, 1, 2, 3, 4]
    assert two[1][way] is None


def test_one_process_needs_no_group() -> None:
    assert dist.get_dist_info() == (0, 1)
    assert not dist.is_distributed()
    value = torch.tensor([3.0])
    dist.all_reduce(value, "mean")
    dist.broadcast(value)
    dist.barrier()
    assert value.item() == 3
    assert dist.all_gather(value) == [value]
    assert dist.all_gather_object("x") == ["x"]
    assert dist.collect_results([1, 2, 3], 2) == [1, 2]
    assert dist.get_backend() is None


def test_a_local_group_needs_whole_machines() -> None:
    dist.init_local_group(0, 1)
    assert dist.get_local_group() is None
    with pytest.raises(ValueError, match="1 processes with 2 a machine"):
        dist.init_local_group(0, 2)


def test_unknown_names_are_told() -> None:
    with pytest.raises(ConfigError, match="'deepspeed'"):
        dist.init_dist("pytorch", init_backend="deepspeed")
    with pytest.raises(ConfigError, match="did you mean 'pytorch'"):
        dist.init_dist("pytroch")
    with pytest.raises(ConfigError, match="SLURM_PROCID"):
        dist.init_dist("slurm")
    with pytest.raises(ValueError, match="device='cpu' only"):
        dist.collect_results([], 0, "gpu", tmpdir="somewhere")
    with pytest.raises(TypeError, match="in place"):
        dist.broadcast_object_list(("tuple",))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variables", "launcher"),
    [
        ({}, "none"),
        ({"WORLD_SIZE": "2"}, "pytorch"),
        ({"SLURM_NTASKS": "2"}, "slurm"),
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "0"}, "mpi"),
    ],
)
def test_infer_launcher(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], launcher: str) -> None:
    for name in ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert dist.infer_launcher() == launcher


LAUNCHERS = {
    "slurm": {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_LOCALID": "0", "SLURM_NODELIST": "localhost"},
    "mpi": {
        "OMPI_COMM_WORLD_RANK": "0",
        "OMPI_COMM_WORLD_SIZE": "1",
        "OMPI_COMM_WORLD_LOCAL_RANK": "0",
        "MASTER_ADDR": "localhost",
    },
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_slurm_and_mpi_make_a_group(launcher: str) -> None:
    port = _free_port()
    code = (
        "from toolkit import dist; import os\n"
        f"dist.init_dist({launcher!r}, backend='gloo', port={port}, timeout=30)\n"
        "print(dist.get_dist_info(), dist.get_local_rank(), os.environ['MASTER_PORT'])"
    )
    # The port of the arguments wins over that of the environment.
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "OMPI", "MASTER"))
    }
    env = {**clean, **LAUNCHERS[launcher], "MASTER_PORT": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout.split("\n")[0] == f"(0, 1) 0 {port}", done.stderr


# A process that ends while gloo's threads still hold tensors of Python's, and something holds the group.
ENDS_BUSY = """
import sys, torch, torch.distributed as torch_dist
from toolkit import dist
dist.init_dist("pytorch", backend="gloo", timeout=60)
held = []
held += [held, torch_dist.distributed_c10d._get_default_group()]
dist.barrier()
for _ in range(200):
    torch_dist.all_reduce(torch.ones(200_000), async_op=True)
del held
"""


def test_processes_end_in_peace() -> None:
    port = str(_free_port())
    env = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen([sys.executable, "-c", ENDS_BUSY], cwd=ROOT, env={**env, "RANK": rank})
        for rank in "01"
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]


@pytest.mark.parametrize(
    ("nodes", "first"), [("gpu[01-03,7],login", "gpu01"), ("host", "host"), ("a,b", "a"), ("n[5]", "n5")]
)
def test_first_host_of_a_slurm_list(nodes: str, first: str) -> None:
    from toolkit.dist.launch import _first_host

    assert _first_host(nodes) == first


def test_importing_it_does_not_import_torch() -> None:
    code = "import toolkit.dist, sys; toolkit.dist.get_rank(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
