"""Samplers that draw some classes, or some of several datasets, more often than others."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import Sampler

from toolkit.dataset.samplers import endless_order
from toolkit.dataset.seeding import mix_seed
from toolkit.detection.datasets.samplers import parts_of
from toolkit.detection.registry import DATA_SAMPLERS
from toolkit.dist import get_dist_info, sync_random_seed
from toolkit.utils import BuildError


class EpochSampler(Sampler[int], ABC):
    """Base of samplers that lay out the indices of a whole epoch and deal them to the ranks.

    Args:
        dataset: The dataset to draw from.
        total: Samples of an epoch on all ranks.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.
        round_up: Repeat samples from the start, so that every rank has equally many.
    """

    def __init__(self, dataset: Any, total: int, seed: int | None, round_up: bool = True) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.round_up = round_up
        spare = 0 if round_up else self.rank
        self.num_samples = math.ceil((total - spare) / self.world_size)
        self.total_size = self.num_samples * self.world_size if round_up else total

    @abstractmethod
    def epoch_order(self) -> list[int]:
        """The indices of the current epoch, of all ranks; a function of seed and epoch."""

    def iter_from(self, start: int) -> Iterator[int]:
        """The indices of this rank in the current epoch, from the `start`-th on."""
        order = self.epoch_order()
        repeats = math.ceil(self.total_size / max(len(order), 1))
        return iter((order * repeats)[self.rank : self.total_size : self.world_size][start:])

    def __iter__(self) -> Iterator[int]:
        return self.iter_from(0)

    def __len__(self) -> int:
        """Samples that this rank draws in an epoch."""
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(mix_seed(self.seed, self.epoch, 3) >> 1)


@DATA_SAMPLERS.register_module()
class ClassAwareSampler(EpochSampler):
    """Draws a class first, each as often as the others, and then an image that has an object of it.

    Classes come in rounds, each in a new order, and so do the images of a class. An epoch is as long as the
    dataset.

    Shen et al., "Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks",
    ECCV 2016, section 3.3.

    Args:
        dataset: The dataset, with `metainfo['classes']` and `get_cat_ids(index)`.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.
        num_sample_class: Images that are drawn each time a class is.

    Raises:
        BuildError: The dataset has no classes or no object, or `num_sample_class` isn't a positive number.
    """

    def __init__(self, dataset: Any, seed: int | None = None, num_sample_class: int = 1) -> None:
        if not isinstance(num_sample_class, int) or num_sample_class <= 0:
            raise BuildError(
                f"ClassAwareSampler got num_sample_class={num_sample_class!r}; it is a positive whole number."
            )
        super().__init__(dataset, len(dataset), seed)
        self.num_sample_class = num_sample_class
        self.cat_dict = self._images_by_class()
        self._labels = [label for label, images in self.cat_dict.items() if images]
        if not self._labels:
            raise BuildError("ClassAwareSampler finds no object of any class in the dataset.")

    def _images_by_class(self) -> dict[int, list[int]]:
        classes = self.dataset.metainfo.get("classes")
        if classes is None:
            raise BuildError("ClassAwareSampler needs a dataset with metainfo=dict(classes=(…)).")
        images: dict[int, list[int]] = {label: [] for label in range(len(classes))}
        for index in range(len(self.dataset)):
            for label in set(self.dataset.get_cat_ids(index)):
                images[label].append(index)
        return images

    def epoch_order(self) -> list[int]:
        """The indices of the current epoch: runs of `num_sample_class` images of one class."""
        base = mix_seed(self.seed, self.epoch, 4)
        labels = endless_order(len(self._labels), True, base >> 1)
        images = {
            label: endless_order(len(self.cat_dict[label]), True, mix_seed(base, label, 5) >> 1)
            for label in self._labels
        }
        order: list[int] = []
        while len(order) < self.total_size:
            label = self._labels[next(labels)]
            order += [self.cat_dict[label][place] for place in islice(images[label], self.num_sample_class)]
        return order[: self.total_size]


@DATA_SAMPLERS.register_module()
class CustomSampleSizeSampler(EpochSampler):
    """Draws so many samples of each part of a `ConcatDataset` an epoch.

    A part that gives only some of its samples gives the next ones in the following epoch, until all have
    come and it starts anew in another order.

    Args:
        dataset: A `ConcatDataset`.
        dataset_size: Samples an epoch of each part; -1 for all of them.
        ratio_mode: Whether `dataset_size` are shares of the parts instead.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.
        round_up: Repeat samples from the start, so that every rank has equally many.

    Raises:
        BuildError: There are not as many sizes as parts, or a size is larger than its part.
    """

    def __init__(
        self,
        dataset: Any,
        dataset_size: Sequence[float],
        ratio_mode: bool = False,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        lengths = [len(part) for part in parts_of(dataset, "CustomSampleSizeSampler")]
        if len(lengths) != len(dataset_size):
            raise BuildError(
                f"CustomSampleSizeSampler got dataset_size={list(dataset_size)!r} for {len(lengths)} "
                "datasets."
            )
        self._lengths = lengths
        self.dataset_size = [
            length if size == -1 else int(size * length) if ratio_mode else int(size)
            for size, length in zip(dataset_size, lengths, strict=True)
        ]
        for place, (size, length) in enumerate(zip(self.dataset_size, lengths, strict=True)):
            if not 0 <= size <= length:
                raise BuildError(
                    f"CustomSampleSizeSampler is to draw {size} samples of dataset {place}, which has "
                    f"{length}."
                )
        super().__init__(dataset, sum(self.dataset_size), seed, round_up)

    def epoch_order(self) -> list[int]:
        """The indices of the current epoch, shuffled over the parts."""
        chosen: list[int] = []
        first = 0
        for part, (size, length) in enumerate(zip(self.dataset_size, self._lengths, strict=True)):
            seed = mix_seed(self.seed, part, 6) >> 1
            places = endless_order(length, True, seed, self.epoch * size) if length else iter(())
            chosen += [first + place for place in islice(places, size)]
            first += length
        shuffled = torch.randperm(len(chosen), generator=self._generator()).tolist()
        return [chosen[place] for place in shuffled]


@DATA_SAMPLERS.register_module()
class MultiDataSampler(EpochSampler):
    """Draws from the parts of a `ConcatDataset` in a given proportion, whatever their sizes.

    Samples are drawn with replacement, as many an epoch as all parts hold.

    Args:
        dataset: A `ConcatDataset`.
        dataset_ratio: The share of each part.
        seed: Seed of the order, the same on every rank; by default rank 0 draws one for all.
        round_up: Repeat samples from the start, so that every rank has equally many.

    Raises:
        BuildError: There are not as many shares as parts.
    """

    def __init__(
        self, dataset: Any, dataset_ratio: Sequence[float], seed: int | None = None, round_up: bool = True
    ) -> None:
        lengths = [len(part) for part in parts_of(dataset, "MultiDataSampler")]
        if len(lengths) != len(dataset_ratio):
            raise BuildError(
                f"MultiDataSampler got dataset_ratio={list(dataset_ratio)!r} for {len(lengths)} datasets."
            )
        self.dataset_ratio = dataset_ratio
        # (samples,): a part's share, spread evenly over its samples
        self.weights = torch.cat(
            [
                torch.full((length,), share / max(length, 1))
                for length, share in zip(lengths, dataset_ratio, strict=True)
            ]
        )
        super().__init__(dataset, sum(lengths), seed, round_up)

    def epoch_order(self) -> list[int]:
        """The indices of the current epoch."""
        drawn = torch.multinomial(
            self.weights, len(self.weights), replacement=True, generator=self._generator()
        )
        return drawn.tolist()
