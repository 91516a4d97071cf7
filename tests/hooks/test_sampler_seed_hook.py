from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from toolkit.hooks import DistSamplerSeedHook


class Sampler(SequentialSampler):
    epoch = -1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


@pytest.mark.parametrize("batched", [False, True])
def test_epoch_is_told(batched: bool) -> None:
    data = list(range(4))
    sampler = Sampler(data)
    kwargs: dict[str, Any] = {"sampler": sampler, "batch_size": 2}
    if batched:
        kwargs = {"batch_sampler": BatchSampler(sampler, 2, False)}
    runner = SimpleNamespace(train_loop=SimpleNamespace(dataloader=DataLoader(data, **kwargs)), epoch=7)
    DistSamplerSeedHook().before_train_epoch(runner)
    assert sampler.epoch == 7


def test_sampler_without_epochs() -> None:
    loader = DataLoader([1, 2])
    DistSamplerSeedHook().before_train_epoch(
        SimpleNamespace(train_loop=SimpleNamespace(dataloader=loader), epoch=7)
    )
