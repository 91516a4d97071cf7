"""Tensors of which each process holds a part (`torch.distributed.tensor.DTensor`): whole ones and back.

Every process must call these functions, in the same order.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from toolkit.dist.world import is_main_process

if TYPE_CHECKING:
    from torch import Tensor


def is_sharded(value: Any) -> bool:
    """Whether a value is a tensor of which this process holds a part."""
    module = sys.modules.get("torch.distributed.tensor")  # nobody has one before that is imported
    return module is not None and isinstance(value, module.DTensor)


def whole(value: Any) -> Any:
    """All of a sharded tensor, on the device where it is put together; anything else as it is."""
    if not is_sharded(value):
        return value
    value = value.detach()
    # The parts may wait on the host, and NCCL exchanges those of the device only.
    return value.to(value.device_mesh.device_type).full_tensor()


def shard_like(value: Tensor, like: Any) -> Any:
    """This process's part of a whole tensor, cut as `like` is; `value` itself where `like` isn't sharded.

    All processes get parts of the tensor that the first one of them has.
    """
    if not is_sharded(like) or is_sharded(value):
        return value
    from torch.distributed.tensor import distribute_tensor

    value = value.detach().to(like.device_mesh.device_type)
    return distribute_tensor(value, like.device_mesh, like.placements).to(like.device)


def gathered(state: Any) -> Any:
    """A state with its sharded tensors whole and on the CPU, on the main process; the others drop theirs.

    Args:
        state: Dicts, lists and tuples inside each other, of anything.
    """
    if is_sharded(state):
        tensor = whole(state)
        return tensor.cpu() if is_main_process() else None
    if isinstance(state, Mapping):
        items = {key: gathered(value) for key, value in state.items()}
        if all(items[key] is value for key, value in state.items()):
            return state  # of a class of its own, perhaps, with more than its items
        return _with_metadata(items, state)
    if type(state) in (list, tuple):
        return type(state)(map(gathered, state))
    return state


def _with_metadata(items: dict[Any, Any], state: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The items as a state dict, where `state` is one that carries the versions of its modules."""
    if not hasattr(state, "_metadata"):
        return items
    from collections import OrderedDict

    ordered = OrderedDict(items)
    ordered._metadata = state._metadata  # type: ignore[attr-defined]
    return ordered
