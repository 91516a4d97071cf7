"""All that is said of an image's objects stays together, whatever moves or covers it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.transforms import (
    AutoAugment,
    CutOut,
    FixScaleResize,
    FixShapeResize,
    RandAugment,
    RandomAffine,
    RandomCenterCropPad,
    RandomErasing,
    RandomFlip_GLIP,
    RandomShift,
    ResizeShortestEdge,
    Rotate,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
)
from toolkit.utils.errors import ConfigError

COUNT_KEYS = ("gt_bboxes_labels", "gt_ignore_flags", "gt_masks", "gt_instances_ids")
CROP = {"test_pad_mode": None, "mean": (1, 2, 3), "std": (1, 1, 1), "to_rgb": True}
# Each with the largest distance, in pixels, of a box from the box of its mask. A turned rectangle's box is
# larger than the box of what turned, and warped bitmaps end half a pixel from where boxes do.
TRANSFORMS = [
    (lambda: FixScaleResize(scale=(71, 53), keep_ratio=True), 1.5),
    (lambda: FixShapeResize(70, 50, keep_ratio=True), 1.5),
    (lambda: ResizeShortestEdge(30, 41), 1.5),
    (lambda: RandomShift(prob=1.0), 0.0),
    (lambda: TranslateX(max_mag=0.3), 0.0),
    (lambda: TranslateY(max_mag=0.3), 0.0),
    (lambda: ShearX(), 2.0),
    (lambda: ShearY(), 2.0),
    (lambda: Rotate(max_mag=20.0), 3.0),
    (lambda: RandomAffine(), 3.5),
    (lambda: RandomAffine(border=(-10, -5)), 3.5),
    (lambda: RandomCenterCropPad((40, 30), (0.8, 1.2), 16, **CROP), 0.0),
    (lambda: AutoAugment(), 4.0),
    (lambda: RandAugment(), 7.0),
]


def sample(seed: int, objects: int, polygons: bool) -> dict:
    rng = np.random.RandomState(seed)
    height, width = 48, 64
    left, top = rng.randint(0, width - 20, objects), rng.randint(0, height - 20, objects)
    right, bottom = left + rng.randint(6, 20, objects), top + rng.randint(6, 20, objects)
    corners = np.stack([left, top, right, bottom], axis=1)
    bitmaps = np.zeros((objects, height, width), np.uint8)
    for bitmap, (x1, y1, x2, y2) in zip(bitmaps, corners, strict=True):
        bitmap[y1:y2, x1:x2] = 1
    outlines = [
        [np.asarray([x1, y1, x2, y1, x2, y2, x1, y2], np.float64)] for x1, y1, x2, y2 in corners.tolist()
    ]
    return {
        "img": rng.randint(0, 256, (height, width, 3)).astype(np.uint8),
        "img_shape": (height, width),
        "gt_bboxes": corners.astype(np.float32),
        "gt_bboxes_labels": np.arange(objects),
        "gt_ignore_flags": np.zeros(objects, bool),
        "gt_instances_ids": np.arange(objects),
        "gt_masks": (
            PolygonMasks(outlines, height, width) if polygons else BitmapMasks(bitmaps, height, width)
        ),
        "gt_seg_map": rng.randint(0, 5, (height, width)).astype(np.uint8),
    }


@pytest.mark.parametrize(("make", "tolerance"), TRANSFORMS)
@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10_000), st.integers(0, 4), st.booleans())
def test_boxes_masks_labels_and_maps_move_together(make, tolerance, seed, objects, polygons):
    given_sample = sample(seed, objects, polygons)
    np.random.seed(seed)
    results = make()(given_sample)
    height, width = results["img"].shape[:2]
    boxes, masks = results["gt_bboxes"], results["gt_masks"]
    assert results["img_shape"] == (height, width)
    assert results["gt_seg_map"].shape == (height, width)
    assert (masks.height, masks.width) == (height, width)
    assert {len(results[key]) for key in COUNT_KEYS} == {len(boxes)}
    assert results["img"].dtype == results["gt_seg_map"].dtype == np.uint8
    assert boxes.dtype == np.float32
    assert ((boxes >= 0) & (boxes <= np.asarray([width, height] * 2))).all()
    # what is turned and then cut has another box than the cut box of what was turned
    whole = ((boxes > 0) & (boxes < np.asarray([width, height] * 2))).all(axis=1)
    distance = np.abs(masks.get_bboxes() - boxes)[whole & (masks.areas > 4)].max(initial=0)
    assert distance <= tolerance + (0.5 if polygons else 0)


# without the last two, which are of several steps, some of them without a matrix
@pytest.mark.parametrize(("make", "tolerance"), TRANSFORMS[:-2])
def test_the_homography_takes_old_points_to_new_ones(make, tolerance):
    compared = 0
    for seed in range(8):
        given_sample = sample(seed, 4, False)
        before = given_sample["gt_bboxes"].copy()
        np.random.seed(seed)
        results = make()(given_sample)
        matrix = results["homography_matrix"]
        assert matrix.dtype == np.float32
        centers = np.concatenate([(before[:, :2] + before[:, 2:]) / 2, np.ones((4, 1), np.float32)], axis=1)
        moved = (centers @ matrix.T)[results["gt_instances_ids"], :2]
        boxes, (height, width) = results["gt_bboxes"], results["img_shape"]
        whole = ((boxes > 0) & (boxes < [width, height] * 2)).all(axis=1)
        compared += whole.sum()
        assert np.allclose(moved[whole], ((boxes[:, :2] + boxes[:, 2:]) / 2)[whole], atol=0.6)
    assert compared > 3


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 4), st.booleans())
def test_erasing_covers_all_at_the_same_places(seed, objects, polygons):
    given_sample = sample(seed, objects, polygons)
    before = given_sample["img"].copy()
    np.random.seed(seed)
    erased = RandomErasing((1, 4), (0.2, 0.6), img_border_value=(1, 2, 3), bbox_erased_thr=0.5)
    results = erased(given_sample)
    covered = results["gt_seg_map"] == 255
    assert covered.any()
    assert (results["img"][covered] == (1, 2, 3)).all()
    assert np.array_equal(results["img"][~covered], before[~covered])
    assert not results["gt_masks"].masks[:, covered].any()
    assert {len(results[key]) for key in COUNT_KEYS} == {len(results["gt_bboxes"])}


def test_cutout_leaves_the_given_array_alone():
    given_sample = sample(0, 2, False)
    image = given_sample["img"]
    before = image.copy()
    results = CutOut(2, cutout_shape=(30, 30), fill_in=(9, 8, 7))(given_sample)
    assert np.array_equal(image, before)
    assert (results["img"] == (9, 8, 7)).all(axis=2).sum() > 0


def test_glips_flip_is_one_pixel_to_the_left():
    results = RandomFlip_GLIP(prob=1.0)(sample(0, 1, False))
    expected = results["gt_masks"].get_bboxes() - np.asarray([1, 0, 1, 0])
    assert np.array_equal(results["gt_bboxes"], expected)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Rotate(max_mag=200.0), "from 0.0 to 180.0"),
        (lambda: ShearX(level=11), "level=11"),
        (lambda: ShearX(prob=2), "prob=2"),
        (lambda: TranslateX(min_mag=0.5), "above max_mag=0.1"),
        (lambda: Rotate(img_border_value=(1, 2)), "img_border_value"),
        (lambda: RandomAffine(max_translate_ratio=2), "max_translate_ratio=2"),
        (lambda: RandomAffine(scaling_ratio_range=(2, 1)), "scaling_ratio_range"),
        (lambda: RandomAffine(border=(-32, 0))(sample(0, 1, False)), "leaves nothing"),
        (lambda: CutOut(1), "one of them"),
        (lambda: RandomErasing((3, 1), 0.2), "n_patches"),
        (lambda: RandomErasing(1, 1.2), "ratio=1.2"),
        (lambda: RandomShift(max_shift_px=-1), "max_shift_px=-1"),
        (lambda: RandomCenterCropPad((3, 3)), "mean, std and to_rgb"),
        (lambda: RandomCenterCropPad((3, 3), mean=(1,), std=(1,), to_rgb=False), "test_pad_mode=None"),
        (lambda: AutoAugment([]), "policies of AutoAugment"),
        (lambda: RandAugment(aug_num=99), "aug_num=99"),
        (lambda: RandAugment([[{"type": "Color"}, {"type": "Color"}]]), "lists of one config"),
    ],
)
def test_arguments_out_of_range_are_named(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
