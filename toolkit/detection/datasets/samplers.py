"""Batch samplers for images of different shapes."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import BatchSampler, Sampler

from toolkit.detection.registry import DATA_SAMPLERS


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
