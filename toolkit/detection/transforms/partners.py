"""Where a transform that mixes samples gets the others from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.dataset import current_source
from toolkit.utils.errors import DataError

Sample = dict[str, Any]
# Samples tried in place of one that the pipeline drops before the transform is reached.
_TRIES = 15


class _Arrived(BaseException):
    """A sample that was fetched as a partner has come as far as the transform that wants it.

    Nothing went wrong, so what handles failures of samples (`except Exception`) lets it pass.
    """

    def __init__(self, transform: Partners, results: Sample) -> None:
        super().__init__()
        self.transform = transform
        self.results = results


class Partners:
    """Mixed into a transform: other samples, as they are when they arrive at that transform.

    By default they are samples of the same dataset at random indices, run through the pipeline up to this
    transform. So what a sample is mixed with depends on its random streams alone: batches are the same with
    any number of workers, and after resuming. The price is reading those images again.

    With `worker_cache` they are the samples that this worker has seen last, as in MMDetection. That reads
    nothing twice, but batches then depend on the number of workers, and resuming isn't exact. The same is
    done where no dataset is known, that is outside of a dataset's own pipeline.

    Args:
        size: Samples that a worker keeps.
        random_pop: Whether a random one makes room for a new one, or the oldest.
        worker_cache: See above.
    """

    def __init__(self, size: int, random_pop: bool, worker_cache: bool) -> None:
        self._size = size
        self._random_pop = random_pop
        self._worker_cache = worker_cache
        self._cache: list[Sample] = []
        self._wanted = False

    def stop_if_wanted(self, results: Sample) -> None:
        """End the fetch of a partner, if this sample is one; the first thing a transform does."""
        if self._wanted:
            self._wanted = False
            raise _Arrived(self, results)

    def remember(self, results: Sample) -> None:
        """Keep a sample for later ones, where partners come from those that this worker has seen."""
        if self._source() is not None:
            return
        self._cache.append(copy.deepcopy(results))
        if len(self._cache) > self._size:
            self._cache.pop(int(np.random.randint(self._size)) if self._random_pop else 0)

    def has_partners(self, least: int) -> bool:
        """Whether there are samples to mix in: always with a dataset, or once `least` are remembered."""
        return self._source() is not None or len(self._cache) >= least

    def partners(
        self, count: int, fits: Callable[[Sample], bool] | None = None, tries: int = _TRIES
    ) -> list[Sample]:
        """Other samples, to be changed at will.

        Args:
            count: How many.
            fits: What is preferred, of a sample or of its description.
            tries: How many are looked at to find one that fits.
        """
        source = self._source()
        if source is not None:
            return [self._fetched(source, fits, tries) for _ in range(count)]
        others = self._cache[:-1]  # the last one is the sample itself
        drawn = [_draw(others.__getitem__, len(others), fits, tries) for _ in range(count)]
        return [copy.deepcopy(others[index]) for index in drawn]

    def _source(self) -> Any:
        return None if self._worker_cache else current_source()

    def _fetched(self, source: Any, fits: Callable[[Sample], bool] | None, tries: int) -> Sample:
        for _ in range(_TRIES):
            index = _draw(source.get_data_info, len(source), fits, tries)
            self._wanted = True
            try:
                source.prepare_data(index)
            except _Arrived as arrived:
                if arrived.transform is not self:
                    raise
                return arrived.results
            finally:
                self._wanted = False
        raise DataError(
            f"{type(self).__name__} drew {_TRIES} samples to mix in, but none came as far as this "
            "transform: put "
            "it before those that drop samples, and outside of those that apply transforms at random"
        )


def _draw(look: Callable[[int], Sample], size: int, fits: Callable[[Sample], bool] | None, tries: int) -> int:
    """A random index below `size`, if possible of a sample that fits."""
    index = 0
    for _ in range(tries):
        index = int(np.random.randint(size))
        if fits is None or fits(look(index)):
            break
    return index
