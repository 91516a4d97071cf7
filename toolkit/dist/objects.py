"""Collective operations on Python objects, and the collecting of evaluation results.

Objects travel pickled between processes of one run, which trust each other; nothing is read from a file.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.dist.world import barrier, get_comm_device, get_dist_info, get_rank, get_world_size

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


def all_gather_object(data: Any, group: ProcessGroup | None = None) -> list[Any]:
    """The objects of all processes in the order of their ranks, on every process."""
    world_size = get_world_size(group)
    if world_size == 1:
        return [data]
    import torch.distributed as torch_dist

    gathered: list[Any] = [None] * world_size
    torch_dist.all_gather_object(gathered, data, group)
    return gathered


def gather_object(data: Any, dst: int = 0, group: ProcessGroup | None = None) -> list[Any] | None:
    """The objects of all processes on rank `dst`, None on the others."""
    gathered = all_gather_object(data, group)
    return gathered if get_rank(group) == dst else None


def broadcast_object_list(data: list[Any], src: int = 0, group: ProcessGroup | None = None) -> None:
    """Overwrite the items of a list on every process by those of rank `src`, in place.

    Raises:
        TypeError: `data` is not a list.
    """
    if not isinstance(data, list):
        raise TypeError(f"broadcast_object_list fills a list in place, got a {type(data).__name__}")
    if get_world_size(group) > 1:
        import torch.distributed as torch_dist

        torch_dist.broadcast_object_list(data, src, group, device=get_comm_device(group))


def collect_results(
    results: list[Any], size: int, device: str = "cpu", tmpdir: str | None = None
) -> list[Any] | None:
    """Put the parts of an evaluation together on rank 0.

    A sampler hands sample ``i`` to rank ``i % world_size`` and repeats samples to fill up; so the parts
    are interleaved and what exceeds `size` is cut off.

    Args:
        results: This process's part, in the order of its samples.
        size: Number of samples in the whole dataset.
        device: ``cpu`` exchanges through files of a shared folder, ``gpu``, ``cuda`` and others through the
            backend.
        tmpdir: That folder, for ``cpu``; must be seen by all processes. A fresh temporary one where None.

    Returns:
        The ordered results of length `size` on rank 0, None on the others.

    Raises:
        ValueError: `tmpdir` is given for another device than ``cpu``.
    """
    if device == "cpu":
        return collect_results_cpu(results, size, tmpdir)
    if tmpdir is not None:
        raise ValueError(f"tmpdir={tmpdir!r} has a meaning with device='cpu' only, got device={device!r}")
    return collect_results_gpu(results, size)


def collect_results_gpu(result_part: list[Any], size: int) -> list[Any] | None:
    """`collect_results` through the backend's own exchange of objects."""
    parts = gather_object(result_part)
    return None if parts is None else _interleave(parts, size)


def collect_results_cpu(result_part: list[Any], size: int, tmpdir: str | None = None) -> list[Any] | None:
    """`collect_results` through files, for results too large for the devices."""
    rank, world_size = get_dist_info()
    if world_size == 1:
        return result_part[:size]
    folder = [tmpdir]
    if rank == 0:
        folder = [tempfile.mkdtemp(dir=_made(tmpdir), prefix="collect_")]
    broadcast_object_list(folder)
    shared = Path(str(folder[0]))
    with open(shared / f"part_{rank}.pkl", "wb") as file:
        pickle.dump(result_part, file, protocol=pickle.HIGHEST_PROTOCOL)
    barrier()
    if rank != 0:
        return None
    parts = [pickle.loads((shared / f"part_{i}.pkl").read_bytes()) for i in range(world_size)]
    shutil.rmtree(shared, ignore_errors=True)
    return _interleave(parts, size)


def _made(folder: str | None) -> str | None:
    if folder is not None:
        os.makedirs(folder, exist_ok=True)
    return folder


def _interleave(parts: list[list[Any]], size: int) -> list[Any]:
    longest = max(len(part) for part in parts)
    rows = ([part[i] for part in parts if i < len(part)] for i in range(longest))
    return list(chain.from_iterable(rows))[:size]
