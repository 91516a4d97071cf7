"""Samplers that mix several datasets in every batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from toolkit.dataset.samplers import endless_order
from toolkit.dataset.seeding import mix_seed
from toolkit.detection.datasets.samplers import parts_of, portrait_flags
from toolkit.detection.registry import DATA_SAMPLERS
from toolkit.dist import get_dist_info, sync_random_seed
from toolkit.utils import BuildError

# batches whose groups are drawn at a time
_CHUNK = 4096


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(Sampler[int]):
    """Samples without end, in batches that take a fixed number from each part of a `ConcatDataset`.

    The samples of a batch are in the order of the parts. Each part is passed over again and again, in an
    order of (seed, part, pass), and dealt to the ranks in turn. It can start anywhere in constant time.

    Args:
        dataset: A `ConcatDataset`.
        batch_size: Samples a batch; the data loader's.
        source_ratio: The share of each part in a batch. The first one gets what rounding leaves.
        shuffle: Whether each pass over a part has its own order.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.

    Raises:
        BuildError: The dataset has no parts, or not as many as `source_ratio`; or the batch is too small.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        source_ratio: Sequence[float],
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        name = type(self).__name__
        sizes = [len(part) for part in parts_of(dataset, name)]
        if len(source_ratio) != len(sizes):
            raise BuildError(f"{name} got source_ratio={list(source_ratio)!r} for {len(sizes)} datasets.")
        if not isinstance(batch_size, int) or batch_size <= 0:
            raise BuildError(f"{name} got batch_size={batch_size!r}; it is a positive whole number.")
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.batch_size = batch_size
        self.source_ratio = source_ratio
        rest = [int(batch_size * share / sum(source_ratio)) for share in source_ratio[1:]]
        self.num_per_source = [batch_size - sum(rest), *rest]
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self._sizes = sizes
        self._starts = [0, *itertools.accumulate(sizes[:-1])]

    def iter_from(self, start: int) -> Iterator[int]:
        """The indices of this rank from the `start`-th that it draws on, without end."""
        batch, within = divmod(start, self.batch_size)
        return itertools.islice(self._draw(batch), within, None)

    def _draw(self, batch: int) -> Iterator[int]:
        streams = [
            self._stream(source, size, batch * number)
            for source, (size, number) in enumerate(zip(self._sizes, self.num_per_source, strict=True))
        ]
        while True:
            for stream, first, number in zip(streams, self._starts, self.num_per_source, strict=True):
                for place in itertools.islice(stream, number):
                    yield first + place

    def _stream(self, key: int, size: int, drawn: int) -> Iterator[int]:
        """Places among `size`, endlessly, for this rank, which has taken `drawn` of them."""
        first = self.rank + drawn * self.world_size
        return endless_order(size, self.shuffle, mix_seed(self.seed, key, 1) >> 1, first, self.world_size)

    def __iter__(self) -> Iterator[int]:
        return self.iter_from(0)

    def __len__(self) -> int:
        """Samples of all parts."""
        return sum(self._sizes)

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the stream has no epochs."""


@DATA_SAMPLERS.register_module()
class GroupMultiSourceSampler(MultiSourceSampler):
    """As `MultiSourceSampler`, with the images of a batch all upright or all not, so that little is padded.

    Which of the two a batch is made of is drawn by (seed, batch) in proportion to how many images there are
    of either kind; all ranks draw the same. A kind that some part has no image of isn't drawn.

    Args:
        dataset: A `ConcatDataset`, whose parts' `get_data_info(index)` has `height` and `width`.
        batch_size: Samples a batch; the data loader's.
        source_ratio: The share of each part in a batch.
        shuffle: Whether each pass over a part has its own order.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.

    Raises:
        BuildError: See `MultiSourceSampler`; or there is no kind that all parts have an image of.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        source_ratio: Sequence[float],
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset, batch_size, source_ratio, shuffle, seed)
        flags = [portrait_flags(part) for part in parts_of(dataset, type(self).__name__)]
        # members[group][source]: places within the source; group 0 is upright
        self._members = [[np.flatnonzero(flag == wanted) for flag in flags] for wanted in (True, False)]
        needed = [source for source, number in enumerate(self.num_per_source) if number]
        weights = np.asarray(
            [
                sum(map(len, group)) if all(len(group[source]) for source in needed) else 0
                for group in self._members
            ],
            np.float64,
        )
        if not weights.any():
            raise BuildError(
                "GroupMultiSourceSampler finds no batch of one kind: one dataset has upright images only, "
                "another one none. Use MultiSourceSampler."
            )
        self.group_ratio = weights / weights.sum()

    def _groups(self, chunk: int) -> np.ndarray:
        """(_CHUNK,) the groups of the batches from `chunk` * _CHUNK on."""
        random = np.random.RandomState(mix_seed(self.seed, chunk, 2) & 0xFFFFFFFF)
        return random.choice(2, size=_CHUNK, p=self.group_ratio)

    def _draw(self, batch: int) -> Iterator[int]:
        chunk, within = divmod(batch, _CHUNK)
        done = np.zeros(2, np.int64)  # batches of each group before this one
        for earlier in range(chunk):
            done += np.bincount(self._groups(earlier), minlength=2)
        done += np.bincount(self._groups(chunk)[:within], minlength=2)
        streams = [
            [
                self._stream(2 * source + group, len(places), int(done[group]) * number)
                for source, (places, number) in enumerate(zip(members, self.num_per_source, strict=True))
            ]
            for group, members in enumerate(self._members)
        ]
        for later in itertools.count(chunk):
            for group in self._groups(later)[within if later == chunk else 0 :].tolist():
                for source, number in enumerate(self.num_per_source):
                    members = self._members[group][source]
                    for place in itertools.islice(streams[group][source], number):
                        yield self._starts[source] + int(members[place])
