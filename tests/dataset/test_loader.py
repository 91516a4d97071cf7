"""Batches depend on (seed, epoch, index) alone: not on workers, nor on where a run was interrupted."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, Sampler

from toolkit.dataset import BaseDataset, SeededDataset, build_dataloader, set_position
from toolkit.dataset.position import PositionedBatchSampler
from toolkit.dataset.seeding import TaggedIndex, mix_seed
from toolkit.registry import DATA_SAMPLERS, DATASETS
from toolkit.utils.errors import BuildError, DataError

SIZE, BATCH = 23, 4
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


@DATASETS.register_module()
class NoisySamples(Dataset):
    """Every sample draws from each of the three generators, a varying number of times."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.metainfo = {"classes": ("a", "b")}

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict:
        extra = [np.random.randn() for _ in range(index % 3)]
        return {
            "index": index,
            "python": random.random(),
            "gauss": random.gauss(0, 1),
            "numpy": float(np.random.rand() + sum(extra)),
            "torch": torch.rand(2),
        }


def loader_of(workers: int = 0, seed: int = 5, **changes) -> DataLoader:
    cfg = {
        "dataset": {"type": "NoisySamples"},
        "batch_size": BATCH,
        "num_workers": workers,
        "persistent_workers": True,
        "sampler": {"type": "DefaultSampler", "shuffle": True},
        "collate_fn": {"type": "default_collate"},
    }
    cfg.update(changes)
    return build_dataloader(cfg, seed=seed)


def batches(loader: DataLoader, epoch: int, start: int = 0, count: int | None = None) -> list[dict]:
    assert set_position(loader, epoch, start) == 0
    found = []
    for number, batch in enumerate(loader):
        if number == count:
            break
        found.append({key: value.tolist() for key, value in batch.items()})
    return found


@pytest.fixture(scope="module")
def reference():
    loader = loader_of()
    return [batches(loader, epoch) for epoch in range(3)]


class TestSameBatches:
    @pytest.mark.parametrize("workers", [1, 2, 8])
    def test_any_number_of_workers(self, reference, workers):
        loader = loader_of(workers)
        assert [batches(loader, epoch) for epoch in range(3)] == reference

    @pytest.mark.parametrize("workers", [0, 2])
    def test_start_anywhere(self, reference, workers):
        loader = loader_of(workers)
        for epoch, start in [(2, 5), (0, 3), (1, 1), (1, 0)]:
            assert batches(loader, epoch, start) == reference[epoch][start:]

    def test_position_holds_for_one_iteration(self, reference):
        loader = loader_of()
        batches(loader, 1, 2)
        again = [{key: value.tolist() for key, value in batch.items()} for batch in loader]
        assert again == reference[1]

    def test_epochs_and_seeds_differ(self, reference):
        assert reference[0] != reference[1]
        assert batches(loader_of(seed=6), 0) != reference[0]

    def test_augmentation_is_of_epoch_and_index(self):
        """Another order and batch size leave each sample's own draws as they are."""
        by_index = {}
        for shuffle, size in [(True, 4), (False, 7)]:
            loader = loader_of(batch_size=size, sampler={"type": "DefaultSampler", "shuffle": shuffle})
            found = {}
            for batch in batches(loader, 1):
                found.update(
                    zip(batch["index"], zip(batch["python"], batch["numpy"], strict=True), strict=True)
                )
            by_index[shuffle] = found
        assert by_index[True] == by_index[False]
        assert len({python for python, _ in by_index[True].values()}) == SIZE

    @settings(deadline=None, max_examples=30)
    @given(
        size=st.integers(1, 40),
        batch=st.integers(1, 9),
        start=st.integers(0, 12),
        drop_last=st.booleans(),
        infinite=st.booleans(),
    )
    def test_resume_equals_uninterrupted(self, size, batch, start, drop_last, infinite):
        def make():
            kind = "InfiniteSampler" if infinite else "DefaultSampler"
            dataset = {"type": "NoisySamples", "size": size}
            return loader_of(dataset=dataset, batch_size=batch, drop_last=drop_last, sampler={"type": kind})

        whole = batches(make(), 3, count=16)
        assert batches(make(), 3, start, count=max(16 - start, 0)) == whole[start:]


class TestInfinite:
    def test_workers_and_position(self):
        sampler = {"type": "InfiniteSampler", "shuffle": True}
        reference = batches(loader_of(sampler=sampler), 0, count=20)
        for workers in (2, 0):
            loader = loader_of(workers, sampler=sampler)
            assert batches(loader, 0, 11, count=9) == reference[11:]

    def test_every_pass_is_augmented_anew(self):
        loader = loader_of(batch_size=1, sampler={"type": "InfiniteSampler", "shuffle": False})
        drawn = batches(loader, 0, count=3 * SIZE)
        first = [batch["python"] for batch in drawn if batch["index"] == [0]]
        assert len(first) == 3
        assert len({value[0] for value in first}) == 3

    def test_batch_sampler_that_regroups(self):
        """A batch sampler of somebody else's: indices are drawn and dropped, samples are not."""
        calls = []

        class Recording(NoisySamples):
            def __getitem__(self, index):
                calls.append(index)
                return super().__getitem__(index)

        cfg = {
            "dataset": Recording(),
            "sampler": {"type": "InfiniteSampler"},
            "batch_sampler": {"type": "EvenOddBatches"},
            "batch_size": 3,
            "collate_fn": {"type": "default_collate"},
        }
        reference = batches(build_dataloader(cfg, seed=1), 0, count=12)
        calls.clear()
        assert batches(build_dataloader(cfg, seed=1), 0, 10, count=2) == reference[10:]
        assert len(calls) <= 3 * 3  # the two batches, and the one that `count` looked ahead at


@DATA_SAMPLERS.register_module()
class EvenOddBatches(BatchSampler):
    """Batches of even and of odd indices."""

    def __init__(self, sampler, batch_size, drop_last=True):
        super().__init__(sampler, batch_size, drop_last)

    def __iter__(self):
        groups = [[], []]
        for index in self.sampler:
            group = groups[index % 2]
            group.append(index)
            if len(group) == self.batch_size:
                yield list(group)
                group.clear()


class TestGlobalStreams:
    @staticmethod
    def draws():
        return random.random(), np.random.randn(), np.random.randn(), torch.rand(3).tolist()

    @pytest.mark.parametrize("workers", [0, 2])
    def test_untouched_by_a_loader(self, workers):
        """Not even the second half of a Gaussian pair, which NumPy keeps outside of its generator."""
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        np.random.randn(), random.gauss(0, 1)
        expected = self.draws(), random.gauss(0, 1)
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        np.random.randn(), random.gauss(0, 1)
        batches(loader_of(workers), 0)
        assert (self.draws(), random.gauss(0, 1)) == expected

    def test_restored_after_an_error(self):
        class Failing(NoisySamples):
            def __getitem__(self, index):
                raise DataError("no such sample")

        np.random.seed(3)
        expected = np.random.rand()
        np.random.seed(3)
        with pytest.raises(DataError, match="no such sample"):
            SeededDataset(Failing(), 0)[0]
        assert np.random.rand() == expected

    def test_seeding_a_fetch_is_cheap(self):
        class Nothing(Dataset):
            def __getitem__(self, index):
                return index

        seeded = SeededDataset(Nothing(), 0)
        indices = [TaggedIndex(3, index) for index in range(100)]
        best = min(_seconds(lambda: seeded.__getitems__(indices)) for _ in range(20)) / len(indices)
        assert best < 60e-6  # measured: 8 µs, of which the bound leaves room on a busy machine


def _seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class TestSeededDataset:
    def test_attributes_are_the_inner_datasets(self):
        inner = NoisySamples()
        seeded = SeededDataset(inner, 0)
        assert len(seeded) == SIZE
        assert seeded.metainfo is inner.metainfo
        seeded.size = 3  # a hook that changes the dataset reaches the one that is used
        assert inner.size == 3 == len(seeded)
        with pytest.raises(AttributeError):
            seeded.no_such_thing  # noqa: B018

    def test_mix_seed_is_fixed_and_spread(self):
        assert mix_seed(0, 0, 0) == 0
        assert mix_seed(1, 2, 3) == mix_seed(1, 2, 3)
        seeds = {mix_seed(s, e, i) & 0xFFFFFFFF for s in range(10) for e in range(20) for i in range(50)}
        assert len(seeds) > 9_990  # of 10,000; a collision or two of 32 bits is chance


class TestBuild:
    def test_object_passes_through(self):
        loader = DataLoader(NoisySamples())
        assert build_dataloader(loader, seed=0) is loader

    @pytest.mark.parametrize(
        "collate", [None, "default_collate", {"type": "default_collate"}, lambda samples: samples]
    )
    def test_collate_forms(self, collate):
        first = next(iter(loader_of(collate_fn=collate)))
        if collate is None:  # pseudo_collate
            assert isinstance(first["python"], list)
        elif callable(collate):
            assert isinstance(first, list)
        else:
            assert isinstance(first["python"], torch.Tensor)

    def test_collate_arguments(self):
        spec = {"type": _collate_with, "extra": 3}
        assert next(iter(loader_of(collate_fn=spec))) == (BATCH, 3)

    def test_no_sampler_means_sequential(self):
        found = [i for batch in batches(loader_of(sampler=None), 0) for i in batch["index"]]
        assert found == list(range(SIZE))

    def test_shuffle_without_sampler_follows_seed_and_epoch(self):
        def order(epoch):
            return [
                i for batch in batches(loader_of(sampler=None, shuffle=True), epoch) for i in batch["index"]
            ]

        assert order(0) == order(0) != order(1)
        assert sorted(order(1)) == list(range(SIZE))

    def test_num_batch_per_epoch(self):
        loader = loader_of(num_batch_per_epoch=2)
        assert len(loader) == 2
        assert sorted(i for batch in batches(loader, 0) for i in batch["index"]) == list(range(2 * BATCH))
        assert loader.dataset.metainfo["classes"] == ("a", "b")

    def test_settings_reach_torch(self):
        loader = loader_of(2, drop_last=True, prefetch_factor=3)
        assert (loader.batch_size, loader.drop_last, loader.prefetch_factor) == (BATCH, True, 3)
        assert len(loader) == SIZE // BATCH
        assert loader.persistent_workers

    def test_set_epoch_on_the_sampler_counts(self):
        """What DistSamplerSeedHook does."""
        loader = loader_of()
        expected = batches(loader, 4)
        again = loader_of()
        again.sampler.set_epoch(4)
        assert [{key: value.tolist() for key, value in batch.items()} for batch in again] == expected
        assert isinstance(again.batch_sampler, PositionedBatchSampler)

    def test_unknown_names_are_refused(self):
        with pytest.raises(BuildError, match="default_collate"):
            loader_of(collate_fn={"type": "defualt_collate"})
        with pytest.raises(BuildError, match="DefaultSampler"):
            loader_of(sampler={"type": "DefaultSampeler"})

    def test_error_of_a_worker_is_readable(self):
        @DATASETS.register_module(name="Broken", force=True)
        class Broken(NoisySamples):
            def __getitem__(self, index):
                raise DataError("image 'x.jpg' can't be decoded")

        with pytest.raises(DataError) as caught:
            batches(loader_of(1, dataset={"type": "Broken"}), 0)
        assert str(caught.value) == "image 'x.jpg' can't be decoded"

    def test_lazy_dataset_is_read(self, tmp_path):
        (tmp_path / "a.json").write_text('{"metainfo": {"classes": ["x"]}, "data_list": [{"img_path": "1"}]}')
        cfg = {"dataset": {"type": "BaseDataset", "ann_file": str(tmp_path / "a.json"), "lazy_init": True}}
        loader = build_dataloader(cfg, seed=0)
        assert isinstance(loader.dataset.dataset, BaseDataset)
        assert loader.dataset.metainfo["classes"] == ["x"]
        assert loader.dataset._fully_initialized


def _collate_with(samples, extra):
    return len(samples), extra


class TestForeignLoaders:
    def test_indices_are_skipped(self, caplog):
        fetched = []

        class Recording(NoisySamples):
            def __getitem__(self, index):
                fetched.append(index)
                return index

        loader = DataLoader(Recording(), batch_size=4)
        assert set_position(loader, 0, 3) == 0
        found = [batch.tolist() for batch in loader]
        assert found[0] == [12, 13, 14, 15]
        assert fetched == list(range(12, SIZE))
        assert "not built by toolkit" in caplog.text

    def test_iterables_are_left_to_the_caller(self, caplog):
        class Stream(IterableDataset):
            def __iter__(self):
                return iter(range(10))

        assert set_position(DataLoader(Stream(), batch_size=2), 0, 3) == 3
        assert set_position([1, 2, 3], 0, 2) == 2
        assert "drawn and dropped" in caplog.text

    def test_iterable_dataset_builds(self):
        class Stream(IterableDataset):
            def __iter__(self):
                return iter(range(5))

        loader = build_dataloader(
            {"dataset": Stream(), "batch_size": 2, "collate_fn": "default_collate"}, seed=0
        )
        assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4]]

    def test_sampler_of_torch(self):
        class Backwards(Sampler):
            def __init__(self, dataset, seed=None):
                self.size = len(dataset)

            def __iter__(self):
                return iter(range(self.size - 1, -1, -1))

            def __len__(self):
                return self.size

        loader = loader_of(sampler=Backwards(NoisySamples()))
        assert batches(loader, 0, 1)[0]["index"] == [18, 17, 16, 15]
