"""BitmapMasks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.detection.masks import BitmapMasks, InstanceMasks
from toolkit.utils import BuildError


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


def test_warps_move_points_as_their_matrix_says(masks):
    square = masks[0]  # x from 2 to 4, y from 1 to 2
    assert square.translate((6, 8), 3).get_bboxes()[0].tolist() == [5, 1, 8, 3]
    assert square.translate((6, 8), -1, "vertical").get_bboxes()[0].tolist() == [2, 0, 5, 2]
    assert square.shear((6, 8), 1.0).get_bboxes()[0].tolist() == [3, 1, 7, 3]
    turned = square.rotate((6, 8), 90, center=(3, 3))  # clockwise: (x, y) to (6 - y, x)
    assert turned.get_bboxes()[0].tolist() == [4, 2, 6, 5]
    assert square.rotate((6, 8), 0, scale=2.0).areas[0] > 2 * square.areas[0]


def test_a_direction_that_does_not_exist_is_named(masks):
    with pytest.raises(BuildError, match="did you mean 'horizontal'"):
        masks.flip("horizonal")
    with pytest.raises(BuildError, match="diagonal"):
        masks.translate((6, 8), 3, "diagonal")


def test_rescale_keeps_the_aspect_ratio(masks):
    assert masks.rescale(1.5).masks.shape == (3, 9, 12)
    assert masks.rescale((16, 12)).masks.shape == (3, 12, 16)


def test_a_crop_has_at_least_a_pixel(masks):
    assert masks.crop(np.array([3, 2, 3, 2])).masks.shape == (3, 1, 1)
    assert masks.crop([-5, -5, 50, 50]).masks.shape == (3, 6, 8)


def test_areas_in_boxes_are_those_of_crops(masks):
    rng = np.random.default_rng(0)
    boxes = rng.integers(-3, 10, (50, 4)).astype(np.int32)
    inds = rng.integers(0, 3, 50)
    crops = InstanceMasks.areas_in(masks, boxes, inds)
    assert np.array_equal(masks.areas_in(boxes, inds), crops)


def test_targets_are_averages_of_the_cells_of_a_box(masks):
    boxes = torch.tensor([[2.0, 1, 5, 3], [1.0, 1, 5, 3], [0.0, 0, 8, 6]])
    inds = torch.tensor([0, 0, 1])
    soft = masks.targets(boxes, inds, (2, 4), binarize=False)
    # at its border a bitmap has faded to a half
    assert torch.equal(masks.targets(boxes, inds, (2, 4)), (soft >= 0.5).float())
    assert soft[2].eq(1).all()
    assert soft[1][:, 0].lt(0.5).all()
    assert soft[1][:, 1:3].ge(0.5).all()
    assert masks.targets(boxes[:0], inds[:0], (2, 4)).shape == (0, 2, 4)
    cut = masks.crop_and_resize(boxes.numpy(), (2, 4), inds.numpy())
    assert np.array_equal(cut.masks, (soft >= 0.5).numpy())
    assert masks.crop_and_resize(boxes, (2, 4), inds, binarize=False).masks.dtype == np.float32


def test_random_masks_and_none_to_join():
    assert BitmapMasks.random(2, 5, 7, rng=0).masks.shape == (2, 5, 7)
    with pytest.raises(ValueError, match="at least one"):
        BitmapMasks.cat([])
