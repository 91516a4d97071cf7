"""Batch samplers for images of different shapes, and what samplers of joined datasets share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import BatchSampler, Sampler

from toolkit.detection.registry import DATA_SAMPLERS
from toolkit.utils import BuildError


def parts_of(dataset: Any, needed_by: str) -> Sequence[Any]:
    """The parts of a `ConcatDataset`.

    Raises:
        BuildError: The dataset has no parts.
    """
    parts = getattr(dataset, "datasets", None)
    if not parts:
        raise BuildError(
            f"{needed_by} draws from the parts of a ConcatDataset, but got a {type(dataset).__name__}. Use "
            "dict(type='ConcatDataset', datasets=[…])."
        )
    return parts


def portrait_flags(dataset: Any) -> np.ndarray:
    """(samples,) bool: whether each image is higher than wide."""
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return np.fromiter((info["width"] < info["height"] for info in infos), bool, len(dataset))


@DATA_SAMPLERS.register_module()
class AspectRatioBatchSampler(BatchSampler):
    """Batches of images that are all upright or all not, so that little is padded.

    The order within each of the two groups is the sampler's. What is left of both at the end makes up the
    last batches, mixed, so the number of batches doesn't depend on the shapes.

    Args:
        sampler: Gives indices and has the `dataset`, whose `get_data_info(index)` has `height` and `width`.
        batch_size: Images a batch.
        drop_last: Leave out a last batch that isn't full.

    Raises:
        TypeError: `sampler` is no sampler.
        ValueError: `batch_size` is no positive integer.
    """

    def __init__(self, sampler: Sampler, batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(sampler, Sampler):
            raise TypeError(f"sampler must be a torch.utils.data.Sampler, not {type(sampler).__name__}.")
        if not isinstance(batch_size, int) or batch_size <= 0:
            raise ValueError(f"batch_size must be a positive integer, not {batch_size!r}.")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self._upright: dict[
            int, bool
        ] = {}  # a fact about the data, remembered so that skipping batches is cheap

    def _is_upright(self, index: int) -> bool:
        if index not in self._upright:
            info = self.sampler.dataset.get_data_info(index)  # type: ignore[union-attr]
            self._upright[index] = info["width"] < info["height"]
        return self._upright[index]

    def __iter__(self) -> Iterator[list[int]]:
        groups: tuple[list[int], list[int]] = ([], [])
        for index in self.sampler:
            group = groups[not self._is_upright(index)]
            group.append(index)
            if len(group) == self.batch_size:
                yield group[:]
                group.clear()
        left_over = groups[0] + groups[1]
        for start in range(0, len(left_over), self.batch_size):
            batch = left_over[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        spare = 0 if self.drop_last else self.batch_size - 1
        return (len(self.sampler) + spare) // self.batch_size  # type: ignore[arg-type]


@DATA_SAMPLERS.register_module()
class MultiDataAspectRatioBatchSampler(BatchSampler):
    """Batches of images of one part of a `ConcatDataset` that are all upright or all not.

    Args:
        sampler: Gives indices and has the `dataset`, a `ConcatDataset`.
        batch_size: Images a batch, for each part.
        num_datasets: Number of parts.
        drop_last: Leave out the last batches, which aren't full.

    Raises:
        BuildError: There are not as many sizes as parts.
    """

    def __init__(
        self, sampler: Sampler, batch_size: Sequence[int], num_datasets: int, drop_last: bool = True
    ) -> None:
        self.sampler = sampler
        parts = parts_of(sampler.dataset, "MultiDataAspectRatioBatchSampler")  # type: ignore[attr-defined]
        if not len(parts) == len(batch_size) == num_datasets:
            raise BuildError(
                f"MultiDataAspectRatioBatchSampler got batch_size={list(batch_size)!r} and "
                f"num_datasets={num_datasets} for {len(parts)} datasets."
            )
        self.batch_sizes = list(batch_size)
        self.drop_last = drop_last
        self._ends = np.cumsum([len(part) for part in parts])
        self._upright = [portrait_flags(part) for part in parts]

    def _place(self, index: int) -> tuple[int, bool]:
        """The part of an index, and whether its image is upright."""
        source = int(np.searchsorted(self._ends, index, side="right"))
        upright = self._upright[source]
        return source, bool(upright[index - self._ends[source] + len(upright)])

    def __iter__(self) -> Iterator[list[int]]:
        groups: dict[tuple[int, bool], list[int]] = {}
        for index in self.sampler:
            place = self._place(index)
            group = groups.setdefault(place, [])
            group.append(index)
            if len(group) == self.batch_sizes[place[0]]:
                yield groups.pop(place)
        for source, size in enumerate(self.batch_sizes):
            left_over = groups.get((source, True), []) + groups.get((source, False), [])
            for start in range(0, len(left_over), size):
                batch = left_over[start : start + size]
                if len(batch) == size or not self.drop_last:
                    yield batch

    def __len__(self) -> int:
        counts = [0] * len(self.batch_sizes)
        for index in self.sampler:
            counts[self._place(index)[0]] += 1
        spare = 0 if self.drop_last else 1
        return sum((n + spare * (size - 1)) // size for n, size in zip(counts, self.batch_sizes, strict=True))
