"""Augmentation as a function of (seed, epoch, index)."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

_MASK = (1 << 64) - 1


class TaggedIndex(NamedTuple):
    """An index on its way to a worker, with the epoch that its augmentation is drawn for."""

    epoch: int
    index: Any


def mix_seed(seed: int, epoch: int, index: int) -> int:
    """A 64-bit seed from three integers, by the finalizer of SplitMix64 (Steele et al., OOPSLA 2014).

    Neighbouring inputs give unrelated seeds, and the value is the same on every platform and version.
    """
    mixed = (seed * 0x9E3779B97F4A7C15 + epoch * 0xD1342543DE82EF95 + index * 0xF1357AEA2E62A9C5) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)


def _seed_streams(seed: int) -> None:
    # torch.manual_seed also visits every accelerator, which costs a hundred times the CPU generator's own
    # seeding; transforms run on the CPU.
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)


@contextmanager
def _own_streams(generator: np.random.MT19937) -> Iterator[None]:
    """Give the body its own global streams, and put the caller's back afterwards, exactly.

    NumPy's generator is exchanged, not copied: copying its 624 words there and back costs 50 µs. An
    exchange drops the second half of a Gaussian pair, so that is put back where there was one.
    """
    python_state, torch_state = random.getstate(), torch.default_generator.get_state()
    numpy_generator = np.random.get_bit_generator()  # type: ignore[attr-defined]
    numpy_state: Any = np.random.get_state(legacy=False)
    np.random.set_bit_generator(generator)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        np.random.set_bit_generator(numpy_generator)  # type: ignore[attr-defined]
        if numpy_state["has_gauss"]:
            np.random.set_state(numpy_state)
        random.setstate(python_state)
        torch.default_generator.set_state(torch_state)


class SeededDataset(Dataset):
    """A dataset whose every fetch starts from its own seed.

    `random`, `numpy.random` and `torch` are seeded from (seed, epoch, index) before a sample is fetched, so
    its augmentation depends neither on the number of workers nor on what was fetched before. In the main
    process the global streams are as they were afterwards. All other attributes are the inner dataset's.

    Args:
        dataset: A map-style dataset.
        seed: Seed of the run, the same on every rank.
    """

    _OWN = frozenset({"dataset", "seed", "_generator"})

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed
        self._generator = np.random.MT19937(0)

    def __getitem__(self, index: Any) -> Any:
        """One sample; an index without an epoch is taken as of epoch 0."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[Any]) -> list[Any]:
        """The samples of a batch (the DataLoader's fetcher calls this one)."""
        if get_worker_info() is not None:  # a worker's streams are nobody else's
            return [self._fetch(index) for index in indices]
        with _own_streams(self._generator):
            return [self._fetch(index) for index in indices]

    def _fetch(self, index: Any) -> Any:
        epoch, inner = index if isinstance(index, TaggedIndex) else (0, index)
        number = inner if isinstance(inner, int) else zlib.crc32(repr(inner).encode())
        _seed_streams(mix_seed(self.seed, epoch, number))
        return self.dataset[inner]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name in self._OWN or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)  # not set yet, while copied or unpickled
        return getattr(self.dataset, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._OWN:
            super().__setattr__(name, value)
        else:
            setattr(self.dataset, name, value)

    def __repr__(self) -> str:
        return f"SeededDataset(seed={self.seed}, dataset={self.dataset!r})"
