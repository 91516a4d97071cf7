"""Who and how many we are: ranks, sizes, backends."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    import torch
    from torch.distributed import ProcessGroup

P = ParamSpec("P")
R = TypeVar("R")


def is_distributed() -> bool:
    """Whether a process group has been made."""
    if "torch" not in sys.modules:  # nobody can have made one: asking must not cost the import of torch
        return False
    import torch.distributed as torch_dist

    return torch_dist.is_available() and torch_dist.is_initialized()


def get_default_group() -> ProcessGroup | None:
    """The group of all processes, or None in a run of one."""
    if not is_distributed():
        return None
    import torch.distributed as torch_dist

    return torch_dist.group.WORLD


def get_backend(group: ProcessGroup | None = None) -> str | None:
    """The backend's name (``gloo``, ``nccl``, …), or None where nothing is distributed."""
    if not is_distributed():
        return None
    import torch.distributed as torch_dist

    return torch_dist.get_backend(group)


def get_world_size(group: ProcessGroup | None = None) -> int:
    """Number of processes in the group; 1 where nothing is distributed."""
    if not is_distributed():
        return 1
    import torch.distributed as torch_dist

    return torch_dist.get_world_size(group)


def get_rank(group: ProcessGroup | None = None) -> int:
    """This process's rank in the group; 0 where nothing is distributed."""
    if not is_distributed():
        return 0
    import torch.distributed as torch_dist

    return torch_dist.get_rank(group)


def get_dist_info(group: ProcessGroup | None = None) -> tuple[int, int]:
    """``(rank, world_size)`` of the group."""
    return get_rank(group), get_world_size(group)


_local_group: ProcessGroup | None = None


def init_local_group(node_rank: int, num_gpus_per_node: int) -> None:
    """Make a group of the processes of this machine; where several run, every one calls it.

    Args:
        node_rank: Number of this machine.
        num_gpus_per_node: Number of processes on each machine.

    Raises:
        ValueError: The processes don't fill machines of that size, or there is no such machine.
    """
    global _local_group
    world_size = get_world_size()
    nodes, rest = divmod(world_size, num_gpus_per_node)
    if rest or not 0 <= node_rank < nodes:
        raise ValueError(
            f"{world_size} processes with {num_gpus_per_node} a machine don't make a machine {node_rank}"
        )
    if not is_distributed():
        return
    import torch.distributed as torch_dist

    # Each process must take part in the making of each group, also of those that it isn't in.
    for node in range(nodes):
        ranks = list(range(node * num_gpus_per_node, (node + 1) * num_gpus_per_node))
        group = torch_dist.new_group(ranks)
        if node == node_rank:
            _local_group = cast("ProcessGroup", group)


def get_local_group() -> ProcessGroup | None:
    """The group of this machine's processes, or None in a run of one.

    Raises:
        RuntimeError: `init_local_group` has not made it.
    """
    if not is_distributed():
        return None
    if _local_group is None:
        raise RuntimeError("there is no local group: call init_local_group in every process first")
    return _local_group


def get_local_rank() -> int:
    """Rank among the processes of this machine, as the launcher has set it in ``LOCAL_RANK``."""
    return int(os.environ.get("LOCAL_RANK", 0)) if is_distributed() else 0


def get_local_size() -> int:
    """Number of processes on this machine, as the launcher has set it in ``LOCAL_WORLD_SIZE``."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if is_distributed() else 1


def is_main_process(group: ProcessGroup | None = None) -> bool:
    """Whether this process has rank 0, the one that logs and writes."""
    return get_rank(group) == 0


def master_only(func: Callable[P, R]) -> Callable[P, R | None]:
    """Decorator: the function runs on rank 0 only and returns None elsewhere."""

    @functools.wraps(func)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R | None:
        return func(*args, **kwargs) if is_main_process() else None

    return wrapper


def barrier(group: ProcessGroup | None = None) -> None:
    """Wait until every process of the group is here."""
    if is_distributed():
        import torch.distributed as torch_dist

        torch_dist.barrier(group)


def get_comm_device(group: ProcessGroup | None = None) -> torch.device:
    """The device on which the group's backend exchanges tensors: CUDA under NCCL, otherwise the CPU."""
    import torch

    if get_backend(group) == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
