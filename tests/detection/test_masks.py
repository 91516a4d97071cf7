"""BitmapMasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.detection.masks import BitmapMasks


@pytest.fixture
def masks() -> BitmapMasks:
    values = np.zeros((3, 6, 8), np.uint8)
    values[0, 1:3, 2:5] = 1
    values[1, :, :] = 1
    return BitmapMasks(values, 6, 8)


def test_areas_and_boxes(masks):
    assert masks.areas.tolist() == [6, 48, 0]
    assert masks.get_bboxes().tolist() == [[2, 1, 5, 3], [0, 0, 8, 6], [0, 0, 0, 0]]


INDICES = [
    [0, 2],
    np.asarray([True, False, True]),
    torch.tensor([0, 2]),
    torch.tensor([True, False, True]),
    slice(0, 3, 2),
]


@pytest.mark.parametrize("index", INDICES)
def test_it_is_indexed_like_an_array(masks, index):
    assert np.array_equal(masks[index].masks, masks.masks[[0, 2]])


def test_one_index_keeps_the_dimension(masks):
    assert masks[0].masks.shape == (1, 6, 8)
    assert masks[[]].masks.shape == (0, 6, 8)


def test_geometry(masks):
    assert masks.resize((12, 16)).areas.tolist() == [24, 192, 0]
    assert masks.flip("horizontal").get_bboxes()[0].tolist() == [3, 1, 6, 3]
    assert masks.flip("vertical").get_bboxes()[0].tolist() == [2, 3, 5, 5]
    assert masks.flip("diagonal").get_bboxes()[0].tolist() == [3, 3, 6, 5]
    assert masks.crop([1, 1, 4, 6]).get_bboxes()[0].tolist() == [1, 0, 3, 2]
    assert masks.crop([1, 1, 4, 6]).masks.shape == (3, 5, 3)
    assert masks.pad((10, 10)).masks.shape == (3, 10, 10)
    assert masks.expand(10, 12, 3, 2).get_bboxes()[0].tolist() == [4, 4, 7, 6]


def test_no_masks_keep_the_size_of_the_image():
    none = BitmapMasks([], 6, 8)
    assert none.masks.shape == (0, 6, 8)
    assert none.resize((3, 4)).masks.shape == (0, 3, 4)
    assert none.crop([0, 0, 2, 3]).masks.shape == (0, 3, 2)
    assert none.get_bboxes().shape == (0, 4)


def test_masks_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"\(6, 9\)"):
        BitmapMasks(np.zeros((1, 6, 9)), 6, 8)


def test_conversion_and_joining(masks):
    assert masks.to_tensor(torch.bool, "cpu").dtype == torch.bool
    joined = BitmapMasks.cat([masks, masks[0]])
    assert len(joined) == 4
    assert joined.areas.tolist() == [6, 48, 0, 6]
