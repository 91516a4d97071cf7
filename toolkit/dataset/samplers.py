"""Orders of samples that are functions of (seed, epoch), split over ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized

import torch
from torch.utils.data import Sampler

from toolkit.dataset.seeding import mix_seed
from toolkit.dist import get_dist_info, sync_random_seed
from toolkit.registry import DATA_SAMPLERS

# Indices turned from a tensor into ints at a time: a list of ints takes nine times a tensor's memory.
_CHUNK = 4096


def _order(size: int, shuffle: bool, seed: int) -> torch.Tensor:
    if not shuffle:
        return torch.arange(size)
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))


def _ints(places: torch.Tensor) -> Iterator[int]:
    for chunk in places.split(_CHUNK):
        yield from chunk.tolist()


def endless_order(size: int, shuffle: bool, seed: int, first: int = 0, stride: int = 1) -> Iterator[int]:
    """Every `stride`-th index of an endless row of passes over a dataset, each in its own order.

    It starts anywhere in constant time.

    Args:
        size: Indices of a pass, from 0.
        shuffle: Whether each pass has an order of (seed, pass), or counts up.
        seed: Seed of the orders.
        first: Place in the row of the first index that is given.
        stride: Steps from one index to the next.
    """
    number, offset = divmod(first, size)
    while True:
        order = _order(size, shuffle, mix_seed(seed, number, 0) >> 1)
        yield from _ints(order[offset::stride])
        # The stride carries over into the next pass.
        passes, offset = divmod(offset + len(range(offset, size, stride)) * stride, size)
        number += passes


@DATA_SAMPLERS.register_module()
class DefaultSampler(Sampler[int]):
    """Every sample once an epoch, each rank an equal share of them.

    Args:
        dataset: The dataset to draw from.
        shuffle: Draw in an order of (seed, epoch) instead of that of the dataset.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.
        round_up: Repeat samples from the start, so that every rank has equally many.
    """

    def __init__(
        self, dataset: Sized, shuffle: bool = True, seed: int | None = None, round_up: bool = True
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.round_up = round_up

    @property
    def num_samples(self) -> int:
        """Samples that this rank draws in an epoch."""
        size = len(self.dataset)
        return math.ceil((size if self.round_up else size - self.rank) / self.world_size)

    @property
    def total_size(self) -> int:
        """Samples that all ranks draw in an epoch."""
        size = len(self.dataset)
        return math.ceil(size / self.world_size) * self.world_size if self.round_up else size

    def iter_from(self, start: int) -> Iterator[int]:
        """The indices of this rank in the current epoch, from the `start`-th on."""
        order = _order(len(self.dataset), self.shuffle, self.seed + self.epoch)
        if self.round_up and len(order):
            repeats = math.ceil(self.total_size / len(order))
            order = order.repeat(repeats)[: self.total_size]
        return _ints(order[self.rank : self.total_size : self.world_size][start:])

    def __iter__(self) -> Iterator[int]:
        return self.iter_from(0)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class InfiniteSampler(Sampler[int]):
    """Samples without end: pass after pass over the dataset, each in its own order of (seed, pass).

    The stream over all passes is dealt to the ranks in turn. It can start anywhere in constant time.

    Args:
        dataset: The dataset to draw from.
        shuffle: Shuffle each pass.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.size = len(dataset)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed

    def iter_from(self, start: int) -> Iterator[int]:
        """The indices of this rank from the `start`-th that it draws on, without end."""
        first = self.rank + start * self.world_size
        return endless_order(self.size, self.shuffle, self.seed, first, self.world_size)

    def __iter__(self) -> Iterator[int]:
        return self.iter_from(0)

    def __len__(self) -> int:
        """Length of one pass over the dataset."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the stream has no epochs."""
