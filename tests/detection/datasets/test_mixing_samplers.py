"""Samplers of several datasets, and of classes."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.dataset import ConcatDataset, build_dataloader, set_position
from toolkit.detection.datasets import (
    ClassAwareSampler,
    CustomSampleSizeSampler,
    GroupMultiSourceSampler,
    MultiDataAspectRatioBatchSampler,
    MultiDataSampler,
    MultiSourceSampler,
)
from toolkit.utils import BuildError


class Images:
    """Images that are upright or not, with the classes in them."""

    metainfo = {"classes": ("a", "b", "c")}

    def __init__(self, upright, classes=()):
        self.upright = upright
        self.classes = classes

    def __len__(self):
        return len(self.upright)

    def __getitem__(self, index):
        return index

    def get_data_info(self, index):
        return {"width": 2, "height": 3 if self.upright[index] else 1}

    def get_cat_ids(self, index):
        return self.classes[index]


def joined(*sizes):
    return ConcatDataset([Images([n % 3 == 0 for n in range(size)]) for size in sizes])


def on_ranks(monkeypatch, module, count):
    """Make a sampler for each of `count` ranks."""

    def make(build):
        samplers = []
        for rank in range(count):
            monkeypatch.setattr(
                f"toolkit.detection.datasets.{module}.get_dist_info", lambda r=rank: (r, count)
            )
            samplers.append(build())
        return samplers

    return make


@pytest.mark.parametrize("kind", [MultiSourceSampler, GroupMultiSourceSampler])
def test_each_batch_has_so_many_of_each_part(kind):
    sampler = kind(joined(20, 50), batch_size=5, source_ratio=[1, 4], seed=3)
    assert len(sampler) == 70
    drawn = list(islice(sampler, 400))
    for start in range(0, 400, 5):
        batch = drawn[start : start + 5]
        assert batch[0] < 20
        assert all(20 <= index < 70 for index in batch[1:])
    assert {*drawn} == {*range(70)}


def test_each_part_is_passed_over_before_it_starts_anew():
    drawn = list(islice(MultiSourceSampler(joined(6, 9), 5, [2, 3], seed=1), 60))
    first = [index for index in drawn if index < 6]
    assert all(sorted(first[start : start + 6]) == list(range(6)) for start in range(0, 24, 6))
    assert first[:6] != first[6:12]
    plain = MultiSourceSampler(joined(6, 9), 5, [2, 3], shuffle=False, seed=1)
    assert list(islice(plain, 10)) == [0, 1, 6, 7, 8, 2, 3, 9, 10, 11]


def test_a_batch_of_a_group_is_of_one_kind_and_kinds_come_by_their_number():
    data = joined(20, 50)
    drawn = list(islice(GroupMultiSourceSampler(data, 5, [1, 4], seed=3), 5000))
    kinds = Counter()
    for start in range(0, 5000, 5):
        flags = {data.get_data_info(index)["height"] for index in drawn[start : start + 5]}
        assert len(flags) == 1
        kinds[flags.pop()] += 1
    assert kinds[3] / 1000 == pytest.approx(24 / 70, abs=0.05)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 60_000))
def test_it_starts_anywhere(start):
    for kind in (MultiSourceSampler, GroupMultiSourceSampler):
        sampler = kind(joined(20, 50), batch_size=5, source_ratio=[2, 3], seed=3)
        assert list(islice(sampler.iter_from(start), 12)) == list(islice(sampler, start, start + 12))


def test_ranks_share_the_parts(monkeypatch):
    ranks = on_ranks(monkeypatch, "multi_source_sampler", 2)(
        lambda: MultiSourceSampler(joined(6, 8), 5, [3, 2], seed=1)
    )
    both = [list(islice(sampler, 5)) for sampler in ranks]
    assert sorted(index for drawn in both for index in drawn if index < 6) == list(range(6))
    grouped = on_ranks(monkeypatch, "multi_source_sampler", 2)(
        lambda: GroupMultiSourceSampler(joined(6, 8), 4, [2, 2], seed=1)
    )
    kinds = [
        [index % 3 == 0 if index < 6 else (index - 6) % 3 == 0 for index in islice(s, 400)] for s in grouped
    ]
    assert kinds[0] == kinds[1]


def test_what_does_not_fit_is_said():
    with pytest.raises(BuildError, match=r"source_ratio=\[1\] for 2 datasets"):
        MultiSourceSampler(joined(2, 3), 4, [1], seed=0)
    with pytest.raises(BuildError, match="parts of a ConcatDataset, but got a Images"):
        MultiSourceSampler(Images([True]), 4, [1], seed=0)
    apart = ConcatDataset([Images([True]), Images([False])])
    with pytest.raises(BuildError, match="no batch of one kind"):
        GroupMultiSourceSampler(apart, 4, [1, 1], seed=0)
    with pytest.raises(BuildError, match=r"draw 9 samples of dataset 1, which has 3"):
        CustomSampleSizeSampler(joined(2, 3), [1, 9], seed=0)
    with pytest.raises(BuildError, match="dataset_ratio"):
        MultiDataSampler(joined(2, 3), [1], seed=0)
    with pytest.raises(BuildError, match="num_sample_class=0"):
        ClassAwareSampler(Images([True], [[0]]), seed=0, num_sample_class=0)


def test_classes_come_equally_often():
    # class 0 is in 90 images, class 1 in 9, class 2 in one
    classes = [[0]] * 90 + [[1, 1]] * 9 + [[2]]
    sampler = ClassAwareSampler(Images([True] * 100, classes), seed=4)
    drawn = list(sampler)
    assert len(sampler) == len(drawn) == 100
    counts = Counter(classes[index][0] for index in drawn)
    assert max(counts.values()) - min(counts.values()) <= 1
    ones = [index for index in drawn if 90 <= index < 99]
    assert sorted(ones[:9]) == list(range(90, 99))
    sampler.set_epoch(1)
    assert list(sampler) != drawn
    sampler.set_epoch(0)
    assert list(sampler) == drawn
    twice = list(ClassAwareSampler(Images([True] * 100, classes), seed=4, num_sample_class=2))
    assert all(classes[a] == classes[b] for a, b in zip(twice[::2], twice[1::2], strict=True))


def test_so_many_samples_of_each_part_and_other_ones_in_the_next_epoch():
    sampler = CustomSampleSizeSampler(joined(10, 4), [5, -1], seed=2)
    epochs = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
    assert [len(epoch) for epoch in epochs] == [9, 9, 9]
    assert all(sorted(index for index in epoch if index >= 10) == [10, 11, 12, 13] for epoch in epochs)
    first = [index for epoch in epochs[:2] for index in epoch if index < 10]
    assert sorted(first) == list(range(10))
    assert len(CustomSampleSizeSampler(joined(10, 4), [0.5, 1.0], ratio_mode=True, seed=2)) == 9


def test_parts_are_drawn_in_proportion():
    sampler = MultiDataSampler(joined(1000, 200), [1, 3], seed=2)
    drawn = list(sampler)
    assert len(drawn) == 1200
    assert sum(index >= 1000 for index in drawn) / 1200 == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize(
    "build",
    [
        lambda: ClassAwareSampler(Images([True] * 11, [[0]] * 6 + [[1]] * 5), seed=4),
        lambda: CustomSampleSizeSampler(joined(9, 4), [7, -1], seed=2),
        lambda: MultiDataSampler(joined(9, 4), [1, 3], seed=2),
    ],
)
def test_ranks_get_equally_many_of_one_order(monkeypatch, build):
    whole = list(build())
    ranks = [list(one) for one in on_ranks(monkeypatch, "balancing_samplers", 2)(build)]
    assert len(ranks[0]) == len(ranks[1]) == -(-len(whole) // 2)
    together = [index for pair in zip(*ranks, strict=True) for index in pair]
    assert together[: len(whole)] == whole


@pytest.mark.parametrize(
    "sampler",
    [
        {"type": "MultiSourceSampler", "batch_size": 4, "source_ratio": [1, 1]},
        {"type": "CustomSampleSizeSampler", "dataset_size": [7, -1]},
        {"type": "ClassAwareSampler"},
    ],
)
def test_a_loader_resumes_where_it_was(sampler):
    parts = [Images([True] * 13, [[n % 3] for n in range(13)]), Images([True] * 8, [[0]] * 8)]

    def loader():
        arguments = {"dataset": ConcatDataset(parts), "batch_size": 4, "num_workers": 0, "sampler": sampler}
        return build_dataloader(arguments, seed=5, default_scope="detection")

    whole = list(islice(loader(), 4))
    one = loader()
    set_position(one, 0, 2)
    assert list(islice(one, 2)) == whole[2:]


def test_batches_of_one_part_and_one_kind():
    data = joined(20, 50)
    sampler = MultiDataSampler(data, [1, 1], seed=0)
    for drop_last in (True, False):
        batches = MultiDataAspectRatioBatchSampler(sampler, [2, 5], 2, drop_last)
        drawn = list(batches)
        assert len(drawn) == len(batches)
        assert sum(map(len, drawn)) <= 70 if drop_last else sum(map(len, drawn)) == 70
        for batch in drawn:
            assert len({index >= 20 for index in batch}) == 1
            size = 5 if batch[0] >= 20 else 2
            assert len(batch) == size or not drop_last
    with pytest.raises(BuildError, match="num_datasets=3 for 2 datasets"):
        MultiDataAspectRatioBatchSampler(sampler, [2, 5], 3)
