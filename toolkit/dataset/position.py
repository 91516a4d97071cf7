"""Batch samplers that know where they are, and can start anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from toolkit.dataset.seeding import SeededDataset, TaggedIndex
from toolkit.dist import get_world_size

# An epoch within the tag's lower bits, the pass over the data in its upper ones: a sampler without end
# gives the same index again within one epoch, and its augmentation is drawn anew.
_PASS_SHIFT = 32


class PositionedBatchSampler:
    """The batches of a batch sampler, from a given one on, each index tagged with its epoch.

    Args:
        batch_sampler: An iterable of lists of indices.
        samples_per_pass: Samples that this rank draws in a pass over the dataset.
        tag: Whether to tag indices; only `SeededDataset` understands tags.
    """

    def __init__(self, batch_sampler: Any, samples_per_pass: int, tag: bool = True) -> None:
        self.batch_sampler = batch_sampler
        self.samples_per_pass = max(samples_per_pass, 1)
        self.tag = tag
        self._epoch = 0
        self._start = 0

    @property
    def sampler(self) -> Any:
        """The sampler of indices beneath, or the batch sampler where that has none."""
        return getattr(self.batch_sampler, "sampler", self.batch_sampler)

    @property
    def epoch(self) -> int:
        """The epoch of the next iteration."""
        return int(getattr(self.sampler, "epoch", self._epoch))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        self._epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def set_position(self, epoch: int, batch: int) -> None:
        """Let the next iteration start at batch number `batch` of epoch `epoch`."""
        self.set_epoch(epoch)
        self._start = batch

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[list[Any]]:
        start, self._start = self._start, 0
        epoch = self.epoch
        batches, drawn = self._batches(start)
        for batch in batches:
            if self.tag:
                yield [self._tagged(epoch, drawn + place, index) for place, index in enumerate(batch)]
            else:
                yield batch
            drawn += len(batch)

    def _tagged(self, epoch: int, drawn: int, index: Any) -> TaggedIndex:
        return TaggedIndex(epoch + (drawn // self.samples_per_pass << _PASS_SHIFT), index)

    def _batches(self, start: int) -> tuple[Iterator[list[Any]], int]:
        """The batches from the `start`-th on, and the number of samples before them."""
        inner = self.batch_sampler
        if start and type(inner) is BatchSampler and hasattr(inner.sampler, "iter_from"):
            drawn = start * inner.batch_size
            rest: Iterable[int] = inner.sampler.iter_from(drawn)
            return iter(BatchSampler(rest, inner.batch_size, inner.drop_last)), drawn
        batches = iter(inner)
        return batches, sum(len(batch) for batch in islice(batches, start))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "batch_sampler":
            raise AttributeError(name)
        return getattr(self.batch_sampler, name)


def position_loader(loader: DataLoader) -> PositionedBatchSampler | None:
    """Make a map-style DataLoader start anywhere; None where it has no batch sampler to do it with."""
    inner = loader.batch_sampler
    if isinstance(inner, PositionedBatchSampler):
        return inner
    dataset = loader.dataset
    if inner is None or isinstance(dataset, IterableDataset):
        return None
    tag = isinstance(dataset, SeededDataset)
    per_pass = math.ceil(len(dataset) / get_world_size()) if tag else 1  # type: ignore[arg-type]
    positioned = PositionedBatchSampler(inner, per_pass, tag=tag)
    # A DataLoader refuses a new batch sampler, since most would disagree with its batch_size and drop_last;
    # this one yields the old one's batches.
    object.__setattr__(loader, "batch_sampler", positioned)
    return positioned
