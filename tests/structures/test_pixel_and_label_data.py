"""`PixelData` and `LabelData`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.structures import LabelData, PixelData


def test_maps_have_one_size_and_a_channel_dimension():
    maps = PixelData(metainfo={"id": 1}, seg=torch.zeros(20, 40), depth=np.zeros((3, 20, 40)))
    assert maps.shape == (20, 40)
    assert maps.seg.shape == (1, 20, 40)
    with pytest.raises(ValueError, match="flow"):
        maps.flow = torch.zeros(20, 41)
    with pytest.raises(ValueError, match="H, W"):
        maps.flow = torch.zeros(1, 1, 20, 40)
    with pytest.raises(TypeError, match="flow"):
        maps.flow = [1]
    with pytest.raises(AttributeError):
        maps._data_fields = {}
    assert PixelData().shape is None
    alone = PixelData(seg=torch.zeros(2, 2))
    alone.seg = torch.zeros(3, 3)
    assert alone.shape == (3, 3)


def test_cropping():
    values = torch.arange(12.0).reshape(1, 3, 4)
    maps = PixelData(metainfo={"id": 1}, a=values, b=values.numpy())
    crop = maps[1:, 2]
    assert crop.shape == (2, 1)
    assert torch.equal(crop.a, values[:, 1:, 2:3])
    assert np.array_equal(crop.b, values.numpy()[:, 1:, 2:3])
    assert crop.id == 1
    assert torch.equal(maps[-1, -1].a, values[:, -1:, -1:])
    for bad, error in (((3, 0), IndexError), ((0, "a"), TypeError), (1, TypeError), ((0, 0, 0), TypeError)):
        with pytest.raises(error):
            maps[bad]


@given(st.lists(st.integers(0, 9), unique=True))
@settings(deadline=None, max_examples=30)
def test_labels_and_one_hot_are_inverse(labels):
    onehot = LabelData.label_to_onehot(torch.tensor(sorted(labels), dtype=torch.int64), 10)
    assert onehot.sum() == len(labels)
    assert LabelData.onehot_to_label(onehot).tolist() == sorted(labels)


def test_one_hot_of_one_label_is_torchs():
    label = torch.tensor([3])
    assert torch.equal(LabelData.label_to_onehot(label, 5), torch.nn.functional.one_hot(label, 5)[0])


def test_bad_labels():
    with pytest.raises(ValueError, match="0…2"):
        LabelData.label_to_onehot(torch.tensor([3]), 3)
    with pytest.raises(ValueError, match="one-hot"):
        LabelData.onehot_to_label(torch.tensor([0, 2]))
    with pytest.raises(ValueError, match="one-hot"):
        LabelData.onehot_to_label(torch.zeros(2, 2))
