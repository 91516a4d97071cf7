"""Datasets made of other datasets."""

from __future__ import annotations

import bisect
import copy
import logging
import math
import warnings
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from torch.utils.data import Dataset

from toolkit.registry import DATASETS
from toolkit.utils.errors import DataError

logger = logging.getLogger("toolkit")


def _built(dataset: Any) -> Any:
    if isinstance(dataset, Mapping):
        # The wrapper decides when to read; two readings of the same annotations would be one too many.
        return DATASETS.build(dataset)
    if not hasattr(dataset, "__getitem__"):
        raise TypeError(f"a dataset is a config dict or a dataset, but got {type(dataset).__name__}")
    return dataset


class _Whole:
    """A dataset of others, of which no part is taken: which samples that were would be ambiguous."""

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Not possible.

        Raises:
            NotImplementedError: Always.
        """
        self._refuse()

    def get_subset(self, indices: Sequence[int] | int) -> NoReturn:
        """Not possible.

        Raises:
            NotImplementedError: Always.
        """
        self._refuse()

    def _refuse(self) -> NoReturn:
        name = type(self).__name__
        raise NotImplementedError(f"{name} has no subsets: take one of each inner dataset, then make {name}")


class WrappedDataset(_Whole, Dataset, ABC):
    """Common to wrappers of one dataset: an index of the wrapper stands for one of the inner dataset.

    Args:
        dataset: The dataset or its config.
        lazy_init: Don't read the annotations until they are needed.
    """

    def __init__(self, dataset: Any, lazy_init: bool = False) -> None:
        self.dataset = _built(dataset)
        self._metainfo = dict(getattr(self.dataset, "metainfo", {}))
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """A copy of the inner dataset's facts."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Read the inner dataset; once."""
        if self._fully_initialized:
            return
        if hasattr(self.dataset, "full_init"):
            self.dataset.full_init()
        self._metainfo = dict(getattr(self.dataset, "metainfo", {}))
        self._prepare()
        self._fully_initialized = True

    def _prepare(self) -> None:
        """What a wrapper computes once its dataset is read."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def _inner_index(self, idx: int) -> int:
        """The inner dataset's index of an index within the wrapper."""

    def _checked(self, idx: int) -> int:
        size = len(self)
        if not -size <= idx < size:
            raise IndexError(f"index {idx} is outside a dataset of {size}")
        return self._inner_index(idx % size)

    def get_data_info(self, idx: int) -> dict:
        """The description of a sample."""
        self.full_init()
        return self.dataset.get_data_info(self._checked(idx))

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes that occur in a sample."""
        self.full_init()
        return self.dataset.get_cat_ids(self._checked(idx))

    def __getitem__(self, idx: int) -> Any:
        self.full_init()
        return self.dataset[self._checked(idx)]


class FirstSamples(WrappedDataset):
    """The first samples of a dataset; `num_batch_per_epoch` of a loader makes it.

    Args:
        dataset: The dataset.
        count: Samples to keep at most.
    """

    def __init__(self, dataset: Any, count: int) -> None:
        self.count = count
        super().__init__(dataset)

    def _inner_index(self, idx: int) -> int:
        return idx

    def __len__(self) -> int:
        return min(self.count, len(self.dataset))

    def __getattr__(self, name: str) -> Any:
        if name == "dataset" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.dataset, name)


@DATASETS.register_module()
class RepeatDataset(WrappedDataset):
    """A dataset `times` over, so that an epoch of a small one is not over at once.

    Args:
        dataset: The dataset or its config.
        times: Repetitions.
        lazy_init: Don't read the annotations until they are needed.
    """

    def __init__(self, dataset: Any, times: int, lazy_init: bool = False) -> None:
        self.times = times
        super().__init__(dataset, lazy_init)

    def _inner_index(self, idx: int) -> int:
        return idx % len(self.dataset)

    def __len__(self) -> int:
        self.full_init()
        return self.times * len(self.dataset)


@DATASETS.register_module()
class ClassBalancedDataset(WrappedDataset):
    """A dataset whose samples of rare classes are repeated (LVIS, Gupta et al., CVPR 2019, section 4.2).

    A class that occurs in the fraction f of the samples has the repeat factor max(1, sqrt(t / f)); a sample
    is repeated by the largest factor of its classes, rounded up.

    Args:
        dataset: The dataset or its config; it defines `get_cat_ids`.
        oversample_thr: The fraction t under which a class counts as rare.
        lazy_init: Don't read the annotations until they are needed.
    """

    def __init__(self, dataset: Any, oversample_thr: float, lazy_init: bool = False) -> None:
        self.oversample_thr = oversample_thr
        self.repeat_indices: np.ndarray = np.empty(0, dtype=np.int64)
        super().__init__(dataset, lazy_init)

    def _prepare(self) -> None:
        factors = self._repeat_factors()
        repeats = [math.ceil(factor) for factor in factors]
        self.repeat_indices = np.repeat(np.arange(len(repeats)), repeats)  # (samples after repetition,)

    def _repeat_factors(self) -> list[float]:
        size = len(self.dataset)
        classes = [set(self.dataset.get_cat_ids(i)) for i in range(size)]
        occurrences: dict[int, int] = defaultdict(int)
        for present in classes:
            for cat in present:
                occurrences[cat] += 1
        factor = {
            cat: max(1.0, math.sqrt(self.oversample_thr * size / count)) for cat, count in occurrences.items()
        }
        return [max((factor[cat] for cat in present), default=1.0) for present in classes]

    def _inner_index(self, idx: int) -> int:
        return int(self.repeat_indices[idx])

    def __len__(self) -> int:
        self.full_init()
        return len(self.repeat_indices)


@DATASETS.register_module()
class ConcatDataset(_Whole, Dataset):
    """Datasets one after the other.

    Args:
        datasets: Datasets or their configs.
        lazy_init: Don't read the annotations until they are needed.
        ignore_keys: Keys of metainfo that may differ between the datasets; True stands for all.

    Raises:
        DataError: If their metainfo differ.

    Attributes:
        cumulative_sizes: Number of samples up to the end of each dataset.
    """

    def __init__(
        self,
        datasets: Sequence[Any],
        lazy_init: bool = False,
        ignore_keys: str | Sequence[str] | bool | None = None,
    ) -> None:
        self.datasets = [_built(dataset) for dataset in datasets]
        if not self.datasets:
            raise DataError("ConcatDataset needs one dataset at least, but datasets is empty")
        self.ignore_keys = [ignore_keys] if isinstance(ignore_keys, str) else ignore_keys or []
        self._metainfo: dict = {}
        self.cumulative_sizes: list[int] = []
        self._fully_initialized = False
        self._take_metainfo()
        if not lazy_init:
            self.full_init()

    @property
    def cummulative_sizes(self) -> list[int]:
        """The misspelt former name of `cumulative_sizes`."""
        warnings.warn("cummulative_sizes is spelt cumulative_sizes", FutureWarning, stacklevel=2)
        return self.cumulative_sizes

    @property
    def metainfo(self) -> dict:
        """A copy of the first dataset's facts, which are those of all."""
        return copy.deepcopy(self._metainfo)

    def full_init(self) -> None:
        """Read the datasets; once."""
        if self._fully_initialized:
            return
        for dataset in self.datasets:
            if hasattr(dataset, "full_init"):
                dataset.full_init()
        self._take_metainfo()
        self.cumulative_sizes = np.cumsum([len(dataset) for dataset in self.datasets]).tolist()
        self._fully_initialized = True

    def _take_metainfo(self) -> None:
        facts = [dict(getattr(dataset, "metainfo", {})) for dataset in self.datasets]
        self._metainfo = facts[0]
        if self.ignore_keys is True:
            return
        for place, other in enumerate(facts[1:], 1):
            for key in sorted({*facts[0], *other} - set(self.ignore_keys)):
                if not _same(facts[0].get(key), other.get(key)):
                    raise DataError(
                        f"ConcatDataset: metainfo[{key!r}] of dataset {place} differs from that of "
                        f"dataset 0: "
                        f"{other.get(key)!r} and {facts[0].get(key)!r}; give both the same metainfo, or "
                        f"name the key in ignore_keys"
                    )

    def _get_ori_dataset_idx(self, idx: int) -> tuple[int, int]:
        size = len(self)
        if not -size <= idx < size:
            raise IndexError(f"index {idx} is outside a dataset of {size}")
        idx %= size
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        return which, idx - (self.cumulative_sizes[which - 1] if which else 0)

    def get_dataset_source(self, idx: int) -> int:
        """The place, among `datasets`, of the dataset that a sample comes from."""
        return self._get_ori_dataset_idx(idx)[0]

    def get_data_info(self, idx: int) -> dict:
        """The description of a sample; `sample_idx` is that within its own dataset."""
        which, inner = self._get_ori_dataset_idx(idx)
        return self.datasets[which].get_data_info(inner)

    def get_cat_ids(self, idx: int) -> list[int]:
        """The classes that occur in a sample."""
        which, inner = self._get_ori_dataset_idx(idx)
        return self.datasets[which].get_cat_ids(inner)

    def __len__(self) -> int:
        self.full_init()
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> Any:
        which, inner = self._get_ori_dataset_idx(idx)
        return self.datasets[which][inner]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return list(one) == list(other)
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)
