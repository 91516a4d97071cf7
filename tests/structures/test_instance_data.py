"""`InstanceData`: one length, indexing, joining."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.structures import InstanceData


class Boxes:
    """An object with a length, an index and `cat`, as box and mask types have."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __len__(self):
        return len(self.tensor)

    def __getitem__(self, index):
        return Boxes(self.tensor[index])

    @staticmethod
    def cat(many):
        return Boxes(torch.cat([one.tensor for one in many]))


def make(n=5):
    return InstanceData(
        metainfo={"img_id": 1},
        bboxes=torch.arange(n * 4.0).reshape(n, 4),
        array=np.arange(n),
        names=[str(i) for i in range(n)],
        pair=tuple(range(n)),
        letters="abcdefghij"[:n],
        boxes=Boxes(torch.arange(n)),
    )


def check(found, places):
    """All fields hold the same instances."""
    assert len(found) == len(places)
    assert found.bboxes[:, 0].tolist() == [4.0 * i for i in places]
    assert found.array.tolist() == list(places)
    assert found.names == [str(i) for i in places]
    assert found.pair == tuple(places)
    assert found.letters == "".join("abcdefghij"[i] for i in places)
    assert found.boxes.tensor.tolist() == list(places)
    assert found.img_id == 1


@pytest.mark.parametrize(
    ("index", "places"),
    [
        (2, [2]),
        (-1, [4]),
        (np.int64(1), [1]),
        (torch.tensor(3), [3]),
        (slice(1, None, 2), [1, 3]),
        ([4, 0, 0], [4, 0, 0]),
        ([], []),
        (np.array([1, 2]), [1, 2]),
        (np.array([True, False, False, True, False]), [0, 3]),
        ([False, True, False, False, True], [1, 4]),
        (torch.tensor([3, 1]), [3, 1]),
        (torch.tensor([], dtype=torch.int64), []),
        (torch.tensor([0, -1]), [0, 4]),
        (torch.tensor([True, True, False, False, False]), [0, 1]),
    ],
)
def test_indexing(index, places):
    check(make()[index], [place % 5 for place in places])


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 10))
@settings(deadline=None, max_examples=40)
def test_every_kind_of_index_agrees_with_numpy(places, n):
    places = [place % n for place in places]
    whole = np.arange(n)
    mask = np.isin(whole, places)
    check(make(n)[places], whole[np.array(places, dtype=int)].tolist())
    check(make(n)[torch.from_numpy(mask)], whole[mask].tolist())
    check(InstanceData.cat([make(n)[mask], make(n)[~mask]]), [*whole[mask], *whole[~mask]])


def test_a_name_gives_the_field():
    one = make()
    assert one["bboxes"] is one.bboxes


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (5, IndexError),
        (-6, IndexError),
        (torch.tensor([True, False]), IndexError),
        (torch.zeros(2, 2, dtype=torch.int64), IndexError),
        (torch.tensor([0.5]), TypeError),
        ((1, 2), TypeError),
        (None, TypeError),
    ],
)
def test_bad_indices(index, error):
    with pytest.raises(error):
        make()[index]


def test_one_length():
    one = make()
    with pytest.raises(ValueError, match=r"'scores' has 4 entries.*has 5 instances"):
        one.scores = torch.zeros(4)
    with pytest.raises(TypeError, match="'flag'"):
        one.flag = 3
    one.scores = torch.zeros(5)
    alone = InstanceData(labels=torch.zeros(2))
    alone.labels = torch.zeros(7)  # the only field may change its length
    assert len(alone) == 7
    assert len(InstanceData()) == 0
    with pytest.raises(TypeError):
        InstanceData(flag=3)
    with pytest.raises(AttributeError):
        one._data_fields = {}


def test_cat():
    whole = InstanceData.cat([make(), make()[:2]])
    check(whole, [0, 1, 2, 3, 4, 0, 1])
    one = make()
    assert InstanceData.cat([one]) is one
    with pytest.raises(ValueError, match="empty"):
        InstanceData.cat([])
    with pytest.raises(ValueError, match="fields differ"):
        InstanceData.cat([make(), InstanceData(a=[1])])
    with pytest.raises(TypeError, match="InstanceData"):
        InstanceData.cat([make(), 3])
    with pytest.raises(TypeError, match="can't be joined"):
        InstanceData.cat([InstanceData(a=range(2)), InstanceData(a=range(2))])


def test_building_one_is_cheap():
    """It stands in the hot path of detectors: some microseconds, not tens."""
    boxes, scores, labels = torch.zeros(100, 4), torch.zeros(100), torch.zeros(100)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(1000):
            InstanceData(bboxes=boxes, scores=scores, labels=labels)
        best = min(best, (time.perf_counter() - begin) / 1000)
    assert best < 40e-6, f"{best * 1e6:.1f} µs"  # some 4 µs on an idle core
