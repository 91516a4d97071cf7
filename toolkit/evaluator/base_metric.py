"""`BaseMetric`: collects results batch by batch and turns them into numbers at the end."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from toolkit.dist import broadcast_object_list, collect_results, get_dist_info, is_main_process
from toolkit.structures import BaseDataElement
from toolkit.utils import did_you_mean

logger = logging.getLogger(__name__)

_DEVICES = ("cpu", "gpu", "unsynced")


class BaseMetric(ABC):
    """Base of all metrics.

    A subclass appends one result a sample to `self.results` in `process`, and makes numbers of the list of
    all results in `compute_metrics`. What lies between, gathering the results of all processes, is done here.

    Args:
        collect_device: Where results of several processes meet: ``cpu`` (through files), ``gpu`` (through the
            backend), or ``unsynced``: they don't, and each process has the numbers of its own share.
        prefix: Put before the names of the numbers, as ``prefix/name``; the class's `default_prefix` by
            default.
        collect_dir: Folder for the files of ``cpu``; a temporary one by default.

    Raises:
        ValueError: `collect_dir` goes with ``collect_device='cpu'`` only.
    """

    default_prefix: str | None = None

    def __init__(
        self, collect_device: str = "cpu", prefix: str | None = None, collect_dir: str | None = None
    ) -> None:
        if collect_device not in _DEVICES:
            near = did_you_mean(str(collect_device), _DEVICES)
            raise ValueError(
                f"collect_device must be {', '.join(map(repr, _DEVICES))}, got {collect_device!r}{near}"
            )
        if collect_dir is not None and collect_device != "cpu":
            raise ValueError(
                f"collect_dir={collect_dir!r} goes with collect_device='cpu', not {collect_device!r}"
            )
        self._dataset_meta: dict[str, Any] | None = None
        self.collect_device = collect_device
        self.collect_dir = collect_dir
        self.results: list[Any] = []
        self.prefix = self.default_prefix if prefix is None else prefix

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Facts about the dataset, such as its classes; set by the loop."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta

    @abstractmethod
    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Append the results of a batch to `self.results`, one a sample.

        Args:
            data_batch: The batch as the data loader gave it.
            data_samples: The model's outputs as dicts.
        """

    @abstractmethod
    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Numbers by name, from the results of all samples of all processes, in the order of the dataset."""

    def evaluate(self, size: int) -> dict[str, Any]:
        """The numbers over the whole dataset; the results are cleared.

        Args:
            size: Length of the dataset. With several processes, the sampler may have repeated samples to give
                each the same number; what is beyond `size` is dropped.

        Returns:
            Numbers by name, the same in every process (but for ``unsynced``).
        """
        if not self.results:
            logger.warning(
                "%s has no results: process() was not called, or appended nothing to self.results",
                type(self).__name__,
            )
        if self.collect_device == "unsynced":
            rank, world_size = get_dist_info()
            # Of `size` samples, those of the places rank, rank + world_size, … are this process's.
            share = len(range(rank, size, world_size))
            numbers = self._numbers(self.results[:share])
            self.results.clear()
            return numbers
        results = collect_results(self.results, size, self.collect_device, tmpdir=self.collect_dir)
        outcome: list[dict[str, Any] | None] = [None]
        if is_main_process():
            outcome[0] = self._numbers(results)
        broadcast_object_list(outcome)
        self.results.clear()
        assert outcome[0] is not None
        return outcome[0]

    def _numbers(self, results: Any) -> dict[str, Any]:
        prefix = f"{self.prefix}/" if self.prefix else ""
        found = self.compute_metrics(to_cpu(results))
        return {f"{prefix}{name}": value for name, value in found.items()}


def to_cpu(data: Any) -> Any:
    """A structure of lists, tuples, dicts and elements with its tensors on the CPU."""
    if isinstance(data, (torch.Tensor, BaseDataElement)):
        return data.to("cpu")
    if isinstance(data, (list, tuple)):
        moved = [to_cpu(one) for one in data]
        return type(data)(*moved) if hasattr(data, "_fields") else type(data)(moved)
    if isinstance(data, Mapping):
        return {key: to_cpu(value) for key, value in data.items()}
    return data
