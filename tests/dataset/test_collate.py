from __future__ import annotations

from collections import namedtuple

import pytest
import torch

from toolkit.dataset import Compose, default_collate, pseudo_collate
from toolkit.structures import BaseDataElement
from toolkit.transforms import LoadImageFromFile

Pair = namedtuple("Pair", "image label")


def samples():
    return [
        {
            "inputs": torch.full((2,), i),
            "sample": BaseDataElement(metainfo={"i": i}),
            "name": f"n{i}",
            "at": (i, [i, i + 1]),
            "n": i,
        }
        for i in range(3)
    ]


def test_pseudo_collate_stacks_nothing():
    batch = pseudo_collate(samples())
    assert [x.tolist() for x in batch["inputs"]] == [[0, 0], [1, 1], [2, 2]]
    assert [x.i for x in batch["sample"]] == [0, 1, 2]
    assert batch["name"] == ["n0", "n1", "n2"]
    assert batch["at"] == [[0, 1, 2], [[0, 1, 2], [1, 2, 3]]]
    assert batch["n"] == [0, 1, 2]


def test_default_collate_stacks_tensors_and_numbers():
    batch = default_collate(samples())
    assert batch["inputs"].shape == (3, 2)
    assert [x.i for x in batch["sample"]] == [0, 1, 2]
    assert batch["name"] == ["n0", "n1", "n2"]
    assert batch["at"][0].tolist() == [0, 1, 2]
    assert batch["n"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("collate", [pseudo_collate, default_collate])
def test_structures(collate):
    pair = collate([Pair(torch.zeros(1), "x"), Pair(torch.ones(1), "y")])
    assert isinstance(pair, Pair)
    assert pair.label == ["x", "y"]
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        collate([[1], [1, 2]])


def test_compose():
    def add(data):
        return {**data, "x": data["x"] + 1}

    def drop(data):
        return None

    assert Compose([add, add])({"x": 0}) == {"x": 2}
    assert Compose([drop, add])({"x": 0}) is None
    assert Compose(None)({"x": 0}) == {"x": 0}
    built = Compose([{"type": "LoadImageFromFile"}, add])
    assert isinstance(next(iter(built)), LoadImageFromFile)
    assert len(built) == 2
    assert "LoadImageFromFile(" in repr(built)
    with pytest.raises(TypeError, match="int"):
        Compose([3])
