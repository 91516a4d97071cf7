"""RandomCrop, MinIoURandomCrop and Expand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.transforms import Expand, MinIoURandomCrop, RandomCrop


def make_results(seed: int, boxes: int = 4, height: int = 48, width: int = 64) -> dict:
    """Objects are filled rectangles of their own colour, so that where one lies can be read off the image."""
    rng = np.random.RandomState(seed)
    image = np.zeros((height, width, 3), np.uint8)
    masks, corners = [], []
    for number in range(boxes):
        x, y = rng.randint(0, width - 12), rng.randint(0, height - 12)
        x2, y2 = x + rng.randint(4, 12), y + rng.randint(4, 12)
        image[y:y2, x:x2] = number + 1
        mask = np.zeros((height, width), np.uint8)
        mask[y:y2, x:x2] = 1
        masks.append(mask)
        corners.append([x, y, x2, y2])
    return {
        "img": image,
        "img_shape": (height, width),
        "gt_bboxes": np.asarray(corners, np.float32).reshape(-1, 4),
        "gt_bboxes_labels": np.arange(boxes) + 1,
        "gt_ignore_flags": np.zeros(boxes, bool),
        "gt_masks": BitmapMasks(masks, height, width),
        "gt_seg_map": image[..., 0].copy(),
    }


def check_consistent(results: dict) -> None:
    """What is said of the objects is what is in the image."""
    height, width = results["img"].shape[:2]
    count = len(results["gt_bboxes"])
    assert results["img_shape"] == (height, width)
    assert (
        len(results["gt_bboxes_labels"])
        == len(results["gt_ignore_flags"])
        == len(results["gt_masks"])
        == count
    )
    assert np.array_equal(results["gt_seg_map"], results["img"][..., 0])
    assert np.array_equal(results["gt_masks"].get_bboxes(), results["gt_bboxes"])
    later = np.zeros((height, width), bool)
    for label, mask in reversed(list(zip(results["gt_bboxes_labels"], results["gt_masks"], strict=True))):
        on_top = mask.astype(bool) & ~later & (results["img"][..., 0] <= label)
        assert (results["img"][on_top] == label).all()
        later |= mask.astype(bool)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000),
    st.sampled_from(
        [
            ((30, 20), "absolute"),
            ((500, 20), "absolute"),
            ((10, 40), "absolute_range"),
            ((0.5, 0.25), "relative"),
            ((0.3, 0.6), "relative_range"),
        ]
    ),
)
def test_random_crop_keeps_image_and_objects_together(seed: int, size):
    np.random.seed(seed)
    results = RandomCrop(crop_size=size[0], crop_type=size[1])(make_results(seed))
    if results is not None:
        check_consistent(results)
        assert len(results["gt_bboxes"]) > 0


def test_sizes_of_the_kinds_of_crop():
    def shape(size, kind):
        return RandomCrop(size, kind, allow_negative_crop=True)(make_results(0))["img_shape"]

    assert shape((30, 20), "absolute") == (20, 30)
    assert shape((500, 20), "absolute") == (20, 64)
    assert shape((0.5, 0.25), "relative") == (12, 32)
    for _ in range(20):
        height, width = shape((10, 40), "absolute_range")
        assert 10 <= height <= 40
        assert 10 <= width <= 40
        height, width = shape((0.5, 0.75), "relative_range")
        assert 24 <= height <= 48
        assert 48 <= width <= 64


def test_a_crop_without_objects():
    results = make_results(0, boxes=1)
    results["gt_bboxes"] = np.asarray([[60, 44, 64, 48]], np.float32)
    np.random.seed(0)
    assert RandomCrop((8, 8))({**results}) is None
    kept = RandomCrop((8, 8), allow_negative_crop=True)({**results})
    assert len(kept["gt_bboxes"]) == len(kept["gt_masks"]) == 0


def test_recomputed_boxes_fit_the_masks():
    results = make_results(3, boxes=1)
    results["gt_bboxes"] += np.asarray([-2, -2, 2, 2], np.float32)
    cut = RandomCrop((64, 48), recompute_bbox=True)(results)
    assert np.array_equal(cut["gt_bboxes"], cut["gt_masks"].get_bboxes())


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        ((1.5, 0.5), "relative"),
        ((0, 4), "absolute"),
        ((9, 4), "absolute_range"),
        ((0.5, 4), "absolute"),
        ((3, 3), "x"),
    ],
)
def test_sizes_that_make_no_sense(size, kind):
    with pytest.raises(ValueError, match="RandomCrop"):
        RandomCrop(size, kind)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_min_iou_crop_keeps_centres_and_shape(seed: int):
    before = make_results(seed)
    np.random.seed(seed)
    results = MinIoURandomCrop(bbox_clip_border=True)({**before})
    check_consistent(results)
    height, width = results["img_shape"]
    if (height, width) != (48, 64):
        # the patch is cut to whole pixels
        assert 0.45 <= height / width <= 2.2
        assert height >= int(0.3 * 48)
        assert width >= int(0.3 * 64)
    assert len(results["gt_bboxes"]) > 0


def test_min_iou_crop_of_an_image_without_objects_ends():
    np.random.seed(1)
    sizes = {MinIoURandomCrop()(make_results(0, boxes=0))["img_shape"] for _ in range(20)}
    assert len(sizes) > 1


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_expand_keeps_image_and_objects_together(seed: int):
    np.random.seed(seed)
    results = Expand(ratio_range=(1, 3), seg_ignore_label=0, prob=1.0)(make_results(seed))
    check_consistent(results)
    assert results["img_shape"] >= (48, 64)


def test_expand_fills_with_the_mean_in_image_order_and_needs_a_label_for_maps():
    results = make_results(0)
    with pytest.raises(ValueError, match="seg_ignore_label"):
        Expand(prob=1.0)({**results})
    results.pop("gt_seg_map")
    np.random.seed(3)
    big = Expand(mean=(10, 20, 30), ratio_range=(3, 3), prob=1.0)(results)["img"]
    assert big[0, 0].tolist() == [30, 20, 10] or big[-1, -1].tolist() == [30, 20, 10]
    assert Expand(prob=0.0)(make_results(0))["img"].shape == (48, 64, 3)
