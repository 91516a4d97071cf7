"""What the arguments of `MMFullyShardedDataParallel` mean to PyTorch's `fully_shard`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from toolkit.dist import get_local_rank, get_local_size, get_world_size
from toolkit.registry import FUNCTIONS
from toolkit.utils import ConfigError, did_you_mean

Policy = Callable[[nn.Module, bool, int], bool]

_PRECISION_KEYS = ("param_dtype", "reduce_dtype", "buffer_dtype", "output_dtype", "cast_forward_inputs")
# Of FSDP1's `MixedPrecision`: what `fully_shard` always does, and the value that says so.
_PRECISION_FIXED = {"keep_low_precision_grads": False, "cast_root_forward_inputs": True}


@dataclass(frozen=True)
class ShardingStrategy:
    """How weights are spread over processes.

    Attributes:
        hybrid: Whether groups of processes hold a copy of the model each, sharded within the group.
        group_size: Processes in such a group; those of one machine if None.
        reshard: Whether weights are dropped after the forward pass and fetched again for backward.
    """

    hybrid: bool = False
    group_size: int | None = None
    reshard: bool = True


STRATEGIES = {
    "FULL_SHARD": ShardingStrategy(),
    "SHARD_GRAD_OP": ShardingStrategy(reshard=False),
    "NO_SHARD": ShardingStrategy(hybrid=True, group_size=1, reshard=False),
    "HYBRID_SHARD": ShardingStrategy(hybrid=True),
    "_HYBRID_SHARD_ZERO2": ShardingStrategy(hybrid=True, reshard=False),
}


def sharding_strategy(value: Any) -> ShardingStrategy:
    """The strategy of a name, or of a member of PyTorch's enumeration; ``FULL_SHARD`` for None.

    Raises:
        ConfigError: There is none of that name.
    """
    name = "FULL_SHARD" if value is None else str(getattr(value, "name", value))
    return STRATEGIES[_known("sharding_strategy", name, STRATEGIES)]


def _known(argument: str, name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ConfigError(
            f"{argument} of MMFullyShardedDataParallel is {name!r}, which is none of {', '.join(known)}"
            f"{did_you_mean(name, known)}"
        )
    return name


def prefetches_backward(value: Any) -> bool:
    """Whether backward fetches the next weights while it computes: None and ``BACKWARD_PRE`` say so.

    Raises:
        ConfigError: It is none of None, ``BACKWARD_PRE`` and ``BACKWARD_POST``.
    """
    if value is None:
        return True
    name = str(getattr(value, "name", value))
    return _known("backward_prefetch", name, ("BACKWARD_PRE", "BACKWARD_POST")) == "BACKWARD_PRE"


def device_of(device_id: Any, group: Any = None) -> torch.device:
    """The device that a process computes on: as named, else its CUDA device under NCCL, else the CPU."""
    if device_id is not None:
        named = torch.device("cuda", device_id) if isinstance(device_id, int) else torch.device(device_id)
        return torch.device("cuda", get_local_rank()) if str(named) == "cuda" else named
    if torch.cuda.is_available() and "nccl" in str(torch.distributed.get_backend(group)):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def mesh_of(process_group: Any, device: torch.device, strategy: ShardingStrategy) -> Any:
    """The processes that share the model, as a `DeviceMesh`: one row, or for a hybrid one row a copy.

    Args:
        process_group: A group, the arguments of `torch.distributed.new_group`, or None for all processes.
        device: Of this process.
        strategy: How they share.

    Raises:
        ConfigError: The processes can't be parted into groups of that size, or a hybrid strategy is given a
            group.
    """
    from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

    if strategy.hybrid:
        if process_group is not None:
            raise ConfigError(
                "a hybrid sharding_strategy takes no process_group: it shards within a machine and copies "
                "between machines; give a 2-dimensional device_mesh for other groups"
            )
        size, world = strategy.group_size or get_local_size(), get_world_size()
        if world % size:
            raise ConfigError(f"{world} processes can't be parted into groups of {size} for hybrid sharding")
        return init_device_mesh(device.type, (world // size, size), mesh_dim_names=("replicate", "shard"))
    if process_group is None:
        return init_device_mesh(device.type, (get_world_size(),))
    if isinstance(process_group, Mapping):
        process_group = torch.distributed.new_group(**process_group)
    return DeviceMesh.from_group(process_group, device.type)


def precision_of(mixed_precision: Any) -> tuple[dict[str, Any], torch.dtype | None]:
    """The arguments of PyTorch's `MixedPrecisionPolicy`, and the type of buffers where one is given.

    Args:
        mixed_precision: A dict of these arguments and ``buffer_dtype``, with types or their names as values;
            an object with such attributes, as PyTorch's `MixedPrecision`; or None.

    Raises:
        ConfigError: A key or a type is unknown.
    """
    if mixed_precision is None:
        return {}, None
    if not isinstance(mixed_precision, Mapping):
        names = (*_PRECISION_KEYS, *_PRECISION_FIXED)
        mixed_precision = {key: getattr(mixed_precision, key, None) for key in names}
    found: dict[str, Any] = {}
    for key, value in mixed_precision.items():
        if key in _PRECISION_FIXED:
            if value not in (None, _PRECISION_FIXED[key]):
                raise ConfigError(
                    f"mixed_precision.{key}={value!r} of MMFullyShardedDataParallel: PyTorch has "
                    f"{_PRECISION_FIXED[key]!r} there; leave it out"
                )
        elif value is not None and key != "type":
            _known("mixed_precision", str(key), _PRECISION_KEYS)
            found[key] = _dtype(key, value) if key.endswith("dtype") else value
    return found, found.pop("buffer_dtype", None)


def _dtype(key: str, value: Any) -> torch.dtype:
    dtype = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else value
    if not isinstance(dtype, torch.dtype):
        raise ConfigError(f"mixed_precision.{key} must be a type such as 'bfloat16', got {value!r}")
    return dtype


def named_function(argument: str, value: Any) -> Any:
    """A function as given, by its name under FUNCTIONS, or of a dict with the name as ``type`` and arguments.

    Raises:
        ConfigError: There is no such function, or it is none.
    """
    if value is None or (callable(value) and not isinstance(value, type)):
        return value
    if isinstance(value, Mapping):
        arguments = {key: item for key, item in value.items() if key != "type"}
        function = named_function(argument, value.get("type"))
        return partial(function, **arguments) if function is not None else None
    function = FUNCTIONS.get(value) if isinstance(value, str) else None
    if function is None:
        raise ConfigError(
            f"{argument} must be a function, or the name of one under FUNCTIONS, or a dict with such a name "
            f"as type; got {value!r}{did_you_mean(str(value), FUNCTIONS.module_dict)}"
        )
    return function


@FUNCTIONS.register_module()
def size_based_auto_wrap_policy(
    module: nn.Module, recurse: bool, nonwrapped_numel: int, min_num_params: int = int(1e8)
) -> bool:
    """Makes a unit of each module that holds at least `min_num_params` weights which no unit inside has."""
    large = nonwrapped_numel >= min_num_params
    return large and (not recurse or not isinstance(module, nn.MultiheadAttention))


@FUNCTIONS.register_module()
def transformer_auto_wrap_policy(
    module: nn.Module,
    recurse: bool,
    nonwrapped_numel: int,
    transformer_layer_cls: Iterable[type[nn.Module] | str] = (),
) -> bool:
    """Makes a unit of each module of one of the classes, which may be given by name."""
    classes = transformer_layer_cls
    names = {one for one in classes if isinstance(one, str)}
    kinds = tuple(one for one in classes if isinstance(one, type))
    return (
        recurse or isinstance(module, kinds) or any(kind.__name__ in names for kind in type(module).__mro__)
    )


@FUNCTIONS.register_module()
def always_wrap_policy(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """Makes a unit of every module."""
    return True


def units_of(root: nn.Module, policy: Policy | None, ignored: set[nn.Parameter]) -> list[nn.Module]:
    """The modules inside of `root` that a policy makes units of their own, inner ones first.

    Args:
        root: The model, which is a unit in any case and isn't listed.
        policy: Asked ``(module, True, weights)`` whether to look inside of a module, and then, with the
            weights that no unit inside has, ``(module, False, weights)`` whether to make it a unit.
            Containers without a forward pass are never made one.
        ignored: Parameters that don't count.
    """
    units: list[nn.Module] = []
    if policy is not None:
        _find_units(root, policy, ignored, units, set(), is_root=True)
    return units


def _find_units(
    module: nn.Module,
    policy: Policy,
    ignored: set[nn.Parameter],
    units: list[nn.Module],
    taken: set[nn.Parameter],
    is_root: bool,
) -> None:
    def count() -> int:
        return sum(one.numel() for one in module.parameters() if one not in taken and one not in ignored)

    if not count() or not policy(module, True, count()):
        return
    for child in module.children():
        _find_units(child, policy, ignored, units, taken, is_root=False)
    if is_root or not _has_forward(module):
        return
    rest = count()
    if rest and policy(module, False, rest):
        units.append(module)
        taken.update(module.parameters())


def _has_forward(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward
