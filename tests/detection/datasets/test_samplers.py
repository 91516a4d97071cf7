"""AspectRatioBatchSampler."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset, SequentialSampler

from toolkit.detection.datasets import AspectRatioBatchSampler


class Sizes(Dataset):
    def __init__(self, sizes):
        self.sizes = sizes

    def __len__(self):
        return len(self.sizes)

    def get_data_info(self, index):
        width, height = self.sizes[index]
        return {"width": width, "height": height}


def make_sampler(sizes):
    sampler = SequentialSampler(Sizes(sizes))
    sampler.dataset = sampler.data_source
    return sampler


SHAPES = st.lists(st.sampled_from([(3, 4), (4, 3), (4, 4)]), max_size=40)


@settings(deadline=None)
@given(SHAPES, st.integers(1, 7), st.booleans())
def test_each_image_comes_once_and_full_batches_but_the_last_are_of_one_kind(sizes, batch_size, drop_last):
    batches = AspectRatioBatchSampler(make_sampler(sizes), batch_size, drop_last)
    drawn = list(batches)
    assert len(drawn) == len(batches)
    indices = [index for batch in drawn for index in batch]
    assert len(indices) == len(set(indices))
    if drop_last:
        assert all(len(batch) == batch_size for batch in drawn)
    else:
        assert sorted(indices) == list(range(len(sizes)))
        assert all(len(batch) == batch_size for batch in drawn[:-1])
    # only what is left over at the end, less than two batches, may be mixed
    mixed = [b for b in drawn if len({sizes[i][0] < sizes[i][1] for i in b}) > 1]
    assert len(mixed) <= 1
    assert list(batches) == drawn


def test_order_within_a_kind_is_the_samplers():
    tall, wide = (3, 4), (4, 3)
    batches = AspectRatioBatchSampler(make_sampler([tall, wide, tall, wide, wide, tall]), 2)
    assert list(batches) == [[0, 2], [1, 3], [5, 4]]


def test_an_iteration_that_was_left_early_leaves_nothing_behind():
    batches = AspectRatioBatchSampler(make_sampler([(3, 4), (4, 3), (3, 4), (3, 4)]), 2)
    next(iter(batches))
    assert list(batches) == [[0, 2], [3, 1]]


def test_bad_arguments():
    with pytest.raises(TypeError, match="list"):
        AspectRatioBatchSampler([1, 2], 2)
    with pytest.raises(ValueError, match="batch_size"):
        AspectRatioBatchSampler(make_sampler([]), 0)
