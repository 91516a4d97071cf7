"""Running a function in several processes, as a launcher would."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.dist import barrier, leave_dist


def run_processes(process: Callable[[str], Any], folder: str | os.PathLike[str], count: int = 2) -> list[Any]:
    """What a function returns in each of several processes, which find what torchrun would have told them.

    Args:
        process: Called with `folder`; defined at the top of a module. It may join the others, with
            ``launcher='pytorch'``; the process group is left for it.
        folder: Where the results are written, of tensors and containers.
        count: How many processes.

    Returns:
        The results, in the order of the ranks.

    Raises:
        Exception: One of the processes failed; with its traceback.
    """
    import torch
    import torch.multiprocessing as mp

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    arguments = (process, os.fspath(folder), port, count)
    mp.start_processes(_child, args=arguments, nprocs=count, start_method="spawn")
    return [torch.load(Path(folder, f"rank_{rank}.pt"), weights_only=True) for rank in range(count)]


def _child(rank: int, process: Callable[[str], Any], folder: str, port: int, count: int) -> None:
    import torch

    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(count))
    os.environ.update(LOCAL_WORLD_SIZE=str(count), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.save(process(folder), Path(folder, f"rank_{rank}.pt"))
    barrier()  # rank 0 holds the store that the others still talk to
    leave_dist()
