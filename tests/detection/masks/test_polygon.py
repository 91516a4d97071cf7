"""PolygonMasks, and the way between polygons and bitmaps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from toolkit.detection.masks import (
    BitmapMasks,
    PolygonMasks,
    bitmap_to_polygon,
    mask2bbox,
    mask_target,
    polygon_to_bitmap,
)
from toolkit.utils import BuildError

SQUARE = np.array([2.0, 1, 8, 1, 8, 5, 2, 5])
TRIANGLE = np.array([10.0, 2, 16, 2, 10, 8])


@pytest.fixture
def masks() -> PolygonMasks:
    return PolygonMasks([[SQUARE], [TRIANGLE, SQUARE]], 12, 20)


def test_areas_boxes_and_indices(masks):
    assert masks.areas.tolist() == [24, 42]
    assert masks.get_bboxes().tolist() == [[2, 1, 8, 5], [2, 1, 16, 8]]
    for index in (1, [1], np.array([False, True]), torch.tensor([1]), slice(1, 2)):
        assert masks[index].areas.tolist() == [42]
    assert len(masks[[]]) == 0
    assert [len(polygons) for polygons in masks] == [1, 2]


def test_bitmaps_are_those_of_pycocotools(masks):
    for polygons, bitmap in zip(masks, masks.to_bitmap(), strict=True):
        runs = coco_mask.merge(coco_mask.frPyObjects([one.tolist() for one in polygons], 12, 20))
        assert np.array_equal(bitmap, coco_mask.decode(runs))
    assert masks.to_tensor(torch.bool, "cpu").shape == (2, 12, 20)
    assert PolygonMasks([], 12, 20).to_ndarray().shape == (0, 12, 20)


def test_geometry(masks):
    assert masks.resize((24, 20)).get_bboxes()[0].tolist() == [2, 2, 8, 10]
    assert masks.rescale(2.0).areas.tolist() == [96, 168]
    assert masks.flip().get_bboxes()[0].tolist() == [12, 1, 18, 5]
    assert masks.flip("vertical").get_bboxes()[0].tolist() == [2, 7, 8, 11]
    assert masks.flip("diagonal").get_bboxes()[0].tolist() == [12, 7, 18, 11]
    assert masks.pad((30, 40)).to_ndarray().shape == (2, 30, 40)
    assert masks.expand(30, 40, 3, 5).get_bboxes()[0].tolist() == [7, 4, 13, 8]
    assert masks.translate((12, 20), -4).get_bboxes()[0].tolist() == [0, 1, 4, 5]
    assert masks.translate((12, 20), 2, "vertical").get_bboxes()[0].tolist() == [2, 3, 8, 7]
    assert masks.shear((12, 20), 1.0, "vertical").get_bboxes()[0].tolist() == [2, 3, 8, 12]
    assert masks.rotate((12, 20), 90, center=(6, 6)).get_bboxes()[0] == pytest.approx([7, 2, 11, 8])


def test_a_crop_keeps_its_part_of_the_area(masks):
    cropped = masks.crop(np.array([5, 2, 12, 7]))
    assert (cropped.height, cropped.width) == (5, 7)
    assert cropped[0].areas[0] == 9  # 3 x 3 of the square
    # of the triangle: x from 10 to 12, y from 2 to 7, left of the line x + y = 18
    assert cropped[1].areas[0] == pytest.approx(9 + 9.5)
    assert masks.crop([18, 10, 20, 12]).areas.tolist() == [0, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_crops_of_polygons_cover_what_crops_of_bitmaps_do(seed):
    polygons = PolygonMasks.random(3, 60, 80, n_verts=7, rng=seed).resize((60, 80))
    box = np.array([11, 9, 59, 43])
    cropped, bitmaps = polygons.crop(box).to_bitmap(), polygons.to_bitmap().crop(box)
    # COCO's rule draws pixels by a border's place between pixels: along it they may differ
    assert (cropped.masks != bitmaps.masks).sum(axis=(1, 2)).max() <= 2 * (48 + 34)


def test_targets_of_polygons_are_those_of_pycocotools(masks):
    boxes, inds = torch.tensor([[0.0, 0, 10, 6], [1.5, 1.25, 17, 9]]), torch.tensor([0, 1])
    targets = masks.targets(boxes, inds, (7, 5))
    for box, index, target in zip(boxes.numpy(), inds, targets, strict=True):
        scale = np.array([5, 7]) / (box[2:] - box[:2])
        moved = [((p.reshape(-1, 2) - box[:2]) * scale).ravel().tolist() for p in masks.masks[index]]
        runs = coco_mask.merge(coco_mask.frPyObjects(moved, 7, 5))
        assert np.array_equal(target.numpy(), coco_mask.decode(runs))
    assert masks.targets(boxes[:0], inds[:0], (7, 5)).shape == (0, 7, 5)


def test_mask_target_clips_proposals_and_joins_images(masks):
    proposals = torch.tensor([[-5.0, -5, 30, 30]])
    inside = torch.tensor([[0.0, 0, 20, 12]])
    zero, bitmaps = torch.tensor([0]), masks.to_bitmap()
    both = mask_target([proposals, inside], [zero, zero], [masks, masks], {"mask_size": 6})
    assert both.shape == (2, 6, 6)
    assert torch.equal(both[0], both[1])
    soft = mask_target([inside], [zero], [bitmaps], {"mask_size": (3, 4), "soft_mask_target": True})
    assert soft.shape == (1, 3, 4)
    assert ((soft > 0) & (soft < 1)).any()


def test_what_polygons_cannot_do_is_said(masks):
    with pytest.raises(BuildError, match="soft_mask_target"):
        masks.crop_and_resize(np.zeros((1, 4)), (7, 7), np.array([0]), binarize=False)
    with pytest.raises(BuildError, match="border_value"):
        masks.translate((12, 20), 1, border_value=1)
    with pytest.raises(ValueError, match="list of arrays"):
        PolygonMasks([[[1, 2, 3, 4, 5, 6]]], 12, 20)
    with pytest.raises(ValueError, match="at least one"):
        PolygonMasks.cat([])
    assert PolygonMasks.cat([masks, masks[0]]).areas.tolist() == [24, 42, 24]


def test_contours_of_bitmaps():
    bitmap = np.zeros((12, 20), np.uint8)
    bitmap[2:9, 3:12] = 1
    contours, with_hole = bitmap_to_polygon(bitmap)
    assert not with_hole
    assert len(contours) == 1
    again = polygon_to_bitmap([contours[0].astype(float).ravel()], 12, 20)
    assert np.logical_xor(again, bitmap).sum() <= 16  # contours run through the middles of border pixels
    bitmap[4:6, 5:8] = 0
    assert bitmap_to_polygon(bitmap)[1]
    assert bitmap_to_polygon(np.zeros((4, 4), np.uint8)) == ([], False)


def test_boxes_of_mask_tensors_are_those_of_bitmaps():
    masks = BitmapMasks(np.random.default_rng(0).random((6, 9, 7)) > 0.95, 9, 7)
    masks.masks[2] = 0
    assert np.array_equal(mask2bbox(masks.to_tensor(torch.bool, "cpu")).numpy(), masks.get_bboxes())
    assert mask2bbox(torch.zeros(0, 3, 4)).shape == (0, 4)
