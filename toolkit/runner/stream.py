"""Batches of a training dataloader from any position on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolkit.dataset import SeededDataset, set_position
from toolkit.utils.errors import DataError
from toolkit.utils.seed import rng_state, set_rng_state


class BatchStream:
    """Iterates a dataloader epoch by epoch, and knows where it is.

    A loader of ours gives batches that depend on (seed, epoch, index) alone, and starts anywhere at once.
    One that the user built may draw from the global generators when an iterator is made and while it runs; so
    their state at the start of the epoch is kept, and a resumed run replays from there.

    Args:
        dataloader: A torch DataLoader.

    Attributes:
        epoch: Epoch that the next batch belongs to, counted by this stream.
        batch: Number of the next batch in its epoch.
        drawn: Batches that `endless` has yielded.
    """

    def __init__(self, dataloader: Any) -> None:
        self.dataloader = dataloader
        self.epoch = 0
        self.batch = 0
        self.drawn = 0
        self._replayed = not isinstance(getattr(dataloader, "dataset", None), SeededDataset)
        self._start_rng: dict[str, Any] | None = None

    def start(self, epoch: int, batch: int = 0) -> Iterator[Any]:
        """An iterator over the rest of an epoch; `batch` batches of it are skipped."""
        self.epoch, self.batch = epoch, batch
        if not self._replayed:
            set_position(self.dataloader, epoch, batch)
            return iter(self.dataloader)
        if self._start_rng is not None and batch:
            set_rng_state(self._start_rng)
        else:
            self._start_rng = rng_state()
        sampler: Any = getattr(self.dataloader, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        batches: Iterator[Any] = iter(self.dataloader)
        for _ in range(batch):
            next(batches, None)
        return batches

    def endless(self, epoch: int, batch: int = 0) -> Iterator[Any]:
        """Batches without end: an exhausted loader begins its next epoch. The first iterator is made at once.

        Raises:
            DataError: The loader yields nothing at all; raised when the first batch is asked for.
        """
        return self._continued(self.start(epoch, batch))

    def _continued(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            for data in batches:
                self.batch += 1
                self.drawn += 1
                yield data
            if not self.batch:
                raise DataError(f"the training dataloader yields no batch: {describe(self.dataloader)}")
            batches = self.start(self.epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """What replaying needs besides the position: nothing, for a loader of ours."""
        return {} if self._start_rng is None else {"start_rng": self._start_rng}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        self._start_rng = state.get("start_rng") if self._replayed else None


def describe(dataloader: Any) -> str:
    """The sizes that explain how many batches a loader has."""
    parts = []
    dataset: Any = getattr(dataloader, "dataset", None)
    if hasattr(dataset, "__len__"):
        parts.append(f"{len(dataset)} samples")
    for name in ("batch_size", "drop_last"):
        value = getattr(dataloader, name, None)
        if value is not None:
            parts.append(f"{name}={value}")
    return ", ".join(parts) or type(dataloader).__name__
