"""Parts that don't train."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from toolkit.model import freeze, trainable_table
from toolkit.utils import ConfigError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.head = nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2, affine=False))


def training(model: nn.Module) -> set[str]:
    return {name for name, param in model.named_parameters() if param.requires_grad}


@pytest.mark.parametrize("pattern", ["backbone", "backbone.*", "back*"])
def test_a_part_is_frozen_by_its_name(pattern: str) -> None:
    model = Net()
    freeze(model, [pattern])
    assert training(model) == {"head.0.weight", "head.0.bias"}


def test_patterns_add_up() -> None:
    model = Net()
    freeze(model, ["backbone.0", "*.bias"])
    assert training(model) == {"backbone.1.weight", "head.0.weight"}


def test_frozen_norms_keep_their_statistics_in_training() -> None:
    model = Net()
    freeze(model, ["backbone"])
    model.train()
    before = model.backbone[1].running_mean.clone()
    model.head(model.backbone(torch.rand(2, 3, 4, 4)))
    assert torch.equal(model.backbone[1].running_mean, before)
    assert model.head[1].num_batches_tracked == 1


def test_norms_without_parameters_are_frozen_with_the_part_around_them() -> None:
    model = Net()
    freeze(model, ["head"])
    assert not model.train().head[1].training


def test_a_norm_that_is_frozen_in_part_goes_on() -> None:
    model = Net()
    freeze(model, ["*.bias"])
    assert model.train().backbone[1].training


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_stay_frozen_on_their_own(copied: object) -> None:
    model = Net()
    freeze(model, ["backbone"])
    other = copied(model)  # type: ignore[operator]
    assert not other.train().backbone[1].training
    assert other.backbone[1].train() is other.backbone[1]


def test_a_pattern_that_fits_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'bakcbone\.\*'.*did you mean 'backbone'.*backbone, head"):
        freeze(Net(), ["bakcbone.*"])


def test_a_text_in_place_of_a_list_is_an_error() -> None:
    with pytest.raises(ConfigError, match="list of patterns"):
        freeze(Net(), "backbone")


def test_table_counts_parameters() -> None:
    model = Net()
    freeze(model, ["backbone.0"])
    rows = [line.split() for line in trainable_table(model).splitlines()]
    assert rows == [
        ["part", "trainable", "parameters"],
        ["backbone", "8", "24"],
        ["head", "10", "10"],
        ["all", "18", "34"],
    ]
