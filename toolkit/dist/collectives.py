"""Collective operations on tensors.

Tensors may live on any device: they travel on the backend's device and come back to their own.
In a run of one process each function returns at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from toolkit.dist.world import get_comm_device, get_default_group, get_dist_info, get_rank, get_world_size

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup, ReduceOp

_OPS = {"sum": "SUM", "mean": "SUM", "product": "PRODUCT", "min": "MIN", "max": "MAX"}
_BITWISE_OPS = {"band": "BAND", "bor": "BOR", "bxor": "BXOR"}


def _reduce_op(name: str) -> ReduceOp.RedOpType:
    import torch.distributed as torch_dist

    known = _OPS | _BITWISE_OPS
    if name.lower() not in known:
        raise ValueError(f"no reduction is named {name!r}; choose one of {', '.join(known)}")
    return getattr(torch_dist.ReduceOp, known[name.lower()])


def all_reduce(data: Tensor, op: str = "sum", group: ProcessGroup | None = None) -> None:
    """Reduce `data` over the group, in place, on every process.

    Args:
        data: Any shape; of floating dtype where `op` is ``mean``.
        op: ``sum``, ``mean``, ``product``, ``min``, ``max``, ``band``, ``bor`` or ``bxor``.
        group: The default group where None.

    Raises:
        ValueError: `op` is unknown.
    """
    world_size = get_world_size(group)
    if world_size == 1:
        return
    import torch.distributed as torch_dist

    moved = data.to(get_comm_device(group)).contiguous()
    torch_dist.all_reduce(moved, _reduce_op(op), group)
    if op.lower() == "mean":
        moved = moved / world_size
    if moved is not data:
        data.copy_(moved)


def all_reduce_dict(data: dict[str, Tensor], op: str = "sum", group: ProcessGroup | None = None) -> None:
    """Reduce every tensor of a dict in place, in one exchange a dtype. All processes hold the same keys."""
    all_reduce_params((data[key] for key in sorted(data)), op=op, group=group)


def all_reduce_params(
    params: Iterable[Tensor],
    coalesce: bool = True,
    bucket_size_mb: int = -1,
    op: str = "sum",
    group: ProcessGroup | None = None,
) -> None:
    """Reduce many tensors in place.

    Args:
        params: The same number, shapes and dtypes on every process.
        coalesce: Exchange the tensors of a dtype as one flat buffer instead of one by one.
        bucket_size_mb: Upper bound of such a buffer in MiB; no bound where not positive.
        op: See `all_reduce`.
        group: The default group where None.
    """
    if get_world_size(group) == 1:
        return
    import torch

    limit = bucket_size_mb * 2**20 if bucket_size_mb > 0 else None
    for bucket in _buckets(params, limit if coalesce else 0):
        flat = torch.cat([tensor.detach().reshape(-1) for tensor in bucket])
        all_reduce(flat, op, group)
        pieces = flat.split([tensor.numel() for tensor in bucket])
        for tensor, piece in zip(bucket, pieces, strict=True):
            tensor.detach().copy_(piece.view_as(tensor))


def _buckets(tensors: Iterable[Tensor], limit: int | None) -> list[list[Tensor]]:
    """Groups of equal dtype and device, each of at most `limit` bytes (at least one tensor)."""
    done: list[list[Tensor]] = []
    open_buckets: dict[object, list[Tensor]] = {}
    filled: dict[object, int] = {}
    for tensor in tensors:
        key = (tensor.dtype, tensor.device)
        size = tensor.numel() * tensor.element_size()
        if key in open_buckets and limit is not None and filled[key] + size > limit:
            done.append(open_buckets.pop(key))
        if key not in open_buckets:
            open_buckets[key], filled[key] = [], 0
        open_buckets[key].append(tensor)
        filled[key] += size
    return done + list(open_buckets.values())


def all_gather(data: Tensor, group: ProcessGroup | None = None) -> list[Tensor]:
    """The tensors of all processes in the order of their ranks; each has the shape of `data`."""
    world_size = get_world_size(group)
    if world_size == 1:
        return [data]
    import torch
    import torch.distributed as torch_dist

    moved = data.to(get_comm_device(group)).contiguous()
    gathered = [torch.empty_like(moved) for _ in range(world_size)]
    torch_dist.all_gather(gathered, moved, group)
    return [tensor.to(data.device) for tensor in gathered]


def gather(data: Tensor, dst: int = 0, group: ProcessGroup | None = None) -> list[Tensor]:
    """The tensors of all processes on rank `dst`, an empty list on the others."""
    gathered = all_gather(data, group)  # NCCL has no gather; the volume is small wherever this is used
    return gathered if get_rank(group) == dst else []


def broadcast(data: Tensor, src: int = 0, group: ProcessGroup | None = None) -> None:
    """Overwrite `data` on every process by that of rank `src`, in place."""
    if get_world_size(group) == 1:
        return
    import torch.distributed as torch_dist

    moved = data.to(get_comm_device(group)).contiguous()
    torch_dist.broadcast(moved, src, group or get_default_group())
    if moved is not data:
        data.copy_(moved)


def sync_random_seed(group: ProcessGroup | None = None) -> int:
    """A seed in ``[0, 2**31)`` from the system's entropy, the same on every process."""
    import secrets

    import torch

    seed = torch.tensor(secrets.randbelow(2**31), dtype=torch.int64)
    rank, world_size = get_dist_info(group)
    if world_size > 1:
        if rank != 0:
            seed.zero_()
        all_reduce(seed, "sum", group)
    return int(seed)
