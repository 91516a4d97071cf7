"""Small helpers that several parts of a detector use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from toolkit.detection.structures import DetDataSample
from toolkit.dist import all_reduce, is_distributed
from toolkit.structures import InstanceData


def multi_apply(func: Callable[..., Any], *args: Iterable[Any], **kwargs: Any) -> tuple[list[Any], ...]:
    """Call `func` on the i-th items of `args` for each i, and give a list for each of its results."""
    func = partial(func, **kwargs) if kwargs else func
    return tuple(map(list, zip(*map(func, *args), strict=True)))


def unpack_gt_instances(
    batch_data_samples: Sequence[DetDataSample],
) -> tuple[list[InstanceData], list[InstanceData | None], list[dict[str, Any]]]:
    """Ground truth, ignored instances (None where a sample has none) and metainfo, one item a sample each."""
    gts = [sample.gt_instances for sample in batch_data_samples]
    ignored = [
        sample.ignored_instances if "ignored_instances" in sample else None for sample in batch_data_samples
    ]
    return gts, ignored, [sample.metainfo for sample in batch_data_samples]


def with_settings(cfg: Mapping[str, Any], **settings: Any) -> dict[str, Any]:
    """A copy of a config with more entries, so that the caller's own is left as it was."""
    return {**cfg, **settings}


def reduce_mean(tensor: Tensor) -> Tensor:
    """The mean of a floating-point tensor over all processes; the tensor itself where there is only one."""
    if not is_distributed():
        return tensor
    tensor = tensor.clone()
    all_reduce(tensor, "mean")
    return tensor


def sigmoid_geometric_mean(x: Tensor, y: Tensor) -> Tensor:
    """The geometric mean of the sigmoids of logits, broadcast; its gradient does not vanish with them."""
    return ((F.logsigmoid(x) + F.logsigmoid(y)) / 2).exp()
