"""Thin names over `torch.distributed`; every one works, as a no-op, in a run of one process.

torch is imported when a function is first called, not when this package is.
"""

from toolkit.dist.collectives import (
    all_gather,
    all_reduce,
    all_reduce_dict,
    all_reduce_params,
    broadcast,
    gather,
    sync_random_seed,
)
from toolkit.dist.devices import cast_data_device, get_data_device
from toolkit.dist.launch import infer_launcher, init_dist, leave_dist
from toolkit.dist.objects import (
    all_gather_object,
    broadcast_object_list,
    collect_results,
    collect_results_cpu,
    collect_results_gpu,
    gather_object,
)
from toolkit.dist.sharding import gathered, is_sharded, shard_like, whole
from toolkit.dist.world import (
    barrier,
    get_backend,
    get_comm_device,
    get_default_group,
    get_dist_info,
    get_local_group,
    get_local_rank,
    get_local_size,
    get_rank,
    get_world_size,
    init_local_group,
    is_distributed,
    is_main_process,
    master_only,
)

__all__ = [
    "all_gather",
    "all_gather_object",
    "all_reduce",
    "all_reduce_dict",
    "all_reduce_params",
    "barrier",
    "broadcast",
    "broadcast_object_list",
    "cast_data_device",
    "collect_results",
    "collect_results_cpu",
    "collect_results_gpu",
    "gather",
    "gather_object",
    "gathered",
    "get_backend",
    "get_comm_device",
    "get_data_device",
    "get_default_group",
    "get_dist_info",
    "get_local_group",
    "get_local_rank",
    "get_local_size",
    "get_rank",
    "get_world_size",
    "infer_launcher",
    "init_dist",
    "init_local_group",
    "is_distributed",
    "is_main_process",
    "is_sharded",
    "leave_dist",
    "master_only",
    "shard_like",
    "sync_random_seed",
    "whole",
]
