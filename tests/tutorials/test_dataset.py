"""Datasets and their loaders: samplers, collate functions, worker settings, torchvision's classes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from toolkit.dataset import (
    DefaultSampler,
    InfiniteSampler,
    build_dataloader,
    default_collate,
    pseudo_collate,
)
from toolkit.runner import Runner
from toolkit.structures import BaseDataElement

Make = Callable[..., Runner]


def test_a_loader_from_a_dict(toy: SimpleNamespace) -> None:
    built = build_dataloader(toy.loader(size=7, batch_size=3), seed=0)
    assert isinstance(built, DataLoader)
    assert isinstance(built.sampler, DefaultSampler)
    batches = list(built)
    assert [len(batch["inputs"]) for batch in batches] == [3, 3, 1]
    assert torch.cat([batch["inputs"] for batch in batches]).equal(toy.Points(7).points)
    dropped = build_dataloader({**toy.loader(7, 3), "drop_last": True}, seed=0)
    assert [len(batch["inputs"]) for batch in dropped] == [3, 3]


def test_shuffling_depends_on_the_seed_and_the_epoch(toy: SimpleNamespace) -> None:
    data = toy.Points(16)
    sampler = DefaultSampler(data, shuffle=True, seed=3)
    first = list(sampler)
    assert sorted(first) == list(range(16)) != first
    assert list(DefaultSampler(data, shuffle=True, seed=3)) == first
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_an_infinite_sampler(toy: SimpleNamespace) -> None:
    drawn = iter(InfiniteSampler(toy.Points(3), shuffle=False))
    assert [next(drawn) for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_collate_functions() -> None:
    samples = [
        {"img": torch.full((2,), i), "data_sample": BaseDataElement(metainfo={"i": i})} for i in (0, 1)
    ]
    listed = pseudo_collate(samples)
    assert [x.tolist() for x in listed["img"]] == [[0, 0], [1, 1]]
    assert [x.i for x in listed["data_sample"]] == [0, 1]
    stacked = default_collate(samples)
    assert stacked["img"].shape == (2, 2)
    assert stacked["data_sample"][1].i == 1
    pairs: Any = default_collate([(np.zeros(2), 0), (np.ones(2), 1)])
    assert pairs[0].shape == (2, 2)
    assert pairs[1].tolist() == [0, 1]


def test_a_loader_that_is_an_object(make: Make, toy: SimpleNamespace) -> None:
    loader = DataLoader(toy.Points(), batch_size=4, shuffle=True, collate_fn=default_collate)
    runner = make(train_dataloader=loader)
    runner.train()
    assert runner.iter == 4


def test_the_number_of_batches_can_be_cut(make: Make, toy: SimpleNamespace) -> None:
    runner = make(train_dataloader={**toy.loader(size=16, batch_size=2), "num_batch_per_epoch": 3})
    runner.train()
    assert runner.iter == 2 * 3
