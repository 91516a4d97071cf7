from __future__ import annotations

import math
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DistributedSampler

from toolkit.dataset import DefaultSampler, InfiniteSampler, samplers


@pytest.fixture
def ranks(monkeypatch):
    """Samplers as the ranks of a group would make them."""

    def make(kind, size, world, **kwargs):
        made = []
        for rank in range(world):
            monkeypatch.setattr(samplers, "get_dist_info", lambda rank=rank: (rank, world))
            made.append(kind(range(size), seed=7, **kwargs))
        return made

    return make


class TestDefaultSampler:
    @pytest.mark.parametrize(("size", "world"), [(10, 1), (10, 3), (3, 4), (12, 4)])
    def test_is_torchs_distributed_sampler(self, ranks, size, world):
        """Same order, same padding, same shares."""
        for rank, ours in enumerate(ranks(DefaultSampler, size, world)):
            theirs = DistributedSampler(range(size), world, rank, shuffle=True, seed=7)
            for epoch in (0, 5):
                ours.set_epoch(epoch), theirs.set_epoch(epoch)
                assert list(ours) == list(theirs)
                assert len(ours) == len(theirs)

    @settings(deadline=None, max_examples=40)
    @given(st.integers(1, 30), st.integers(1, 5))
    def test_without_round_up_every_sample_comes_once(self, size, world):
        with pytest.MonkeyPatch.context() as patch:
            drawn = []
            for rank in range(world):
                patch.setattr(samplers, "get_dist_info", lambda rank=rank: (rank, world))
                sampler = DefaultSampler(range(size), seed=1, round_up=False)
                mine = list(sampler)
                assert len(mine) == len(sampler)
                drawn += mine
        assert sorted(drawn) == list(range(size))

    def test_sequential(self):
        assert list(DefaultSampler(range(5), shuffle=False)) == [0, 1, 2, 3, 4]

    def test_start_anywhere(self):
        sampler = DefaultSampler(range(10_000), seed=0)
        assert list(sampler.iter_from(9_000)) == list(sampler)[9_000:]

    def test_a_seed_is_drawn_where_none_is_given(self):
        assert DefaultSampler(range(5)).seed != DefaultSampler(range(5)).seed


class TestInfiniteSampler:
    @pytest.mark.parametrize(("size", "world"), [(7, 1), (7, 2), (6, 3), (2, 5), (1, 2)])
    def test_ranks_share_one_stream_of_whole_passes(self, ranks, size, world):
        each = math.ceil(4 * size / world)
        shares = [list(islice(sampler, each)) for sampler in ranks(InfiniteSampler, size, world)]
        stream = [index for together in zip(*shares, strict=True) for index in together][: 4 * size]
        passes = [stream[i * size : (i + 1) * size] for i in range(4)]
        assert all(sorted(one) == list(range(size)) for one in passes)
        if size == 7:
            assert passes[0] != passes[1]

    @pytest.mark.parametrize("world", [1, 2, 3])
    def test_start_anywhere(self, ranks, world):
        for sampler in ranks(InfiniteSampler, 5, world):
            whole = list(islice(sampler, 60))
            for start in (0, 1, 4, 5, 17, 43):
                assert list(islice(sampler.iter_from(start), 60 - start)) == whole[start:]

    def test_in_order(self):
        assert list(islice(InfiniteSampler(range(3), shuffle=False), 7)) == [0, 1, 2, 0, 1, 2, 0]

    def test_global_generator_is_left_alone(self):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        list(islice(InfiniteSampler(range(9), seed=1), 30)), list(DefaultSampler(range(9), seed=1))
        assert torch.rand(1) == expected
