"""Resize, RandomFlip and Pad, against torchvision where it defines the same thing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors
from torchvision.transforms import v2

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms import Pad, RandomFlip, Resize


def make_results(height: int = 40, width: int = 60, boxes: int = 3, seed: int = 0) -> dict:
    rng = np.random.RandomState(seed)
    corners = np.sort(rng.rand(boxes, 2, 2) * [width, height], axis=1).reshape(-1, 4)
    return {
        "img": rng.randint(0, 256, (height, width, 3), dtype=np.uint8),
        "img_shape": (height, width),
        "ori_shape": (height, width),
        "gt_bboxes": corners.astype(np.float32),
        "gt_bboxes_labels": np.arange(boxes),
        "gt_ignore_flags": np.zeros(boxes, bool),
        "gt_masks": BitmapMasks(rng.rand(boxes, height, width) > 0.5, height, width),
        "gt_seg_map": rng.randint(0, 5, (height, width), dtype=np.uint8),
    }


@pytest.mark.parametrize(
    ("size", "scale", "expected"),
    [
        # (width, height) of the image, the scale, (width, height) that MMDetection 3.3 makes of it
        ((640, 480), (1333, 800), (1067, 800)),
        ((500, 375), (1000, 600), (800, 600)),
        ((375, 500), (1000, 600), (600, 800)),
        ((640, 427), (1333, 800), (1199, 800)),
        ((640, 200), (1333, 800), (1333, 417)),
        ((333, 500), (1000, 600), (600, 901)),
        ((640, 480), (320, 240), (320, 240)),
    ],
)
def test_keep_ratio_gives_the_known_sizes(size, scale, expected):
    results = Resize(scale=scale, keep_ratio=True)({"img": np.zeros((size[1], size[0], 3), np.uint8)})
    assert results["img"].shape == (expected[1], expected[0], 3)
    assert results["img_shape"] == (expected[1], expected[0])
    assert results["scale_factor"] == (expected[0] / size[0], expected[1] / size[1])
    assert results["scale"] == scale
    assert results["keep_ratio"] is True


def test_resize_takes_boxes_masks_and_map_along():
    before = make_results()
    after = Resize(scale=(90, 100))({**before})
    assert after["img"].shape == (100, 90, 3)
    assert np.allclose(after["gt_bboxes"], before["gt_bboxes"] * [1.5, 2.5, 1.5, 2.5], atol=1e-4)
    assert after["gt_bboxes"].dtype == np.float32
    assert after["gt_masks"].masks.shape == (3, 100, 90)
    assert after["gt_seg_map"].shape == (100, 90)
    assert set(np.unique(after["gt_seg_map"])) <= set(range(5))
    reference = v2.functional.resize(tv_tensors.BoundingBoxes(
        before["gt_bboxes"], format="XYXY", canvas_size=(40, 60)), [100, 90])  # fmt: skip
    assert np.allclose(after["gt_bboxes"], reference.numpy(), atol=1e-4)


def test_downsampling_by_two_is_bilinear_without_antialiasing():
    before = make_results()
    after = Resize(scale_factor=0.5)({"img": before["img"]})
    image = torch.from_numpy(before["img"]).permute(2, 0, 1)[None].float()
    reference = torch.nn.functional.interpolate(image, (20, 30), mode="bilinear", align_corners=False)
    difference = np.abs(after["img"].astype(float) - reference[0].permute(1, 2, 0).numpy())
    assert difference.max() <= 1


def test_an_image_of_the_right_size_is_left_alone():
    results = make_results()
    image = results["img"].copy()
    after = Resize(scale=(60, 40))(results)
    assert np.array_equal(after["img"], image)
    assert after["scale_factor"] == (1.0, 1.0)


def test_boxes_outside_are_cut_unless_told_otherwise():
    boxes = np.asarray([[-10, 5, 30, 70]], np.float32)
    image = np.zeros((40, 60, 3), np.uint8)
    cut = Resize(scale=(60, 40))({"img": image, "gt_bboxes": boxes})
    assert cut["gt_bboxes"].tolist() == [[0, 5, 30, 40]]
    whole = Resize(scale=(60, 40), clip_object_border=False)({"img": image, "gt_bboxes": boxes})
    assert whole["gt_bboxes"].tolist() == boxes.tolist()


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
def test_flip_agrees_with_torchvision(direction: str):
    before = make_results()
    after = RandomFlip(prob=1.0, direction=direction)({**before})
    boxes = tv_tensors.BoundingBoxes(before["gt_bboxes"], format="XYXY", canvas_size=(40, 60))
    image = torch.from_numpy(before["img"]).permute(2, 0, 1)
    masks = torch.from_numpy(before["gt_masks"].masks)
    if direction != "vertical":
        boxes, image, masks = (v2.functional.horizontal_flip(value) for value in (boxes, image, masks))
    if direction != "horizontal":
        boxes, image, masks = (v2.functional.vertical_flip(value) for value in (boxes, image, masks))
    assert np.allclose(after["gt_bboxes"], boxes.numpy(), atol=1e-4)
    assert np.array_equal(after["img"], image.permute(1, 2, 0).numpy())
    assert np.array_equal(after["gt_masks"].masks, masks.numpy())
    assert after["flip"] is True
    assert after["flip_direction"] == direction


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from(["horizontal", "vertical", "diagonal"]))
def test_flipping_twice_changes_nothing(seed: int, direction: str):
    before = make_results(seed=seed)
    flip = RandomFlip(prob=1.0, direction=direction)
    after = flip(flip({**before}))
    assert np.array_equal(after["img"], before["img"])
    assert np.allclose(after["gt_bboxes"], before["gt_bboxes"], atol=1e-4)
    assert np.allclose(after["homography_matrix"], np.eye(3))


def test_shares_of_directions():
    flip = RandomFlip(prob=[0.3, 0.5], direction=["horizontal", "vertical"])
    np.random.seed(0)
    drawn = [flip({"img": np.zeros((2, 2, 3), np.uint8)})["flip_direction"] for _ in range(2000)]
    shares = {name: drawn.count(name) / 2000 for name in ("horizontal", "vertical", None)}
    assert shares == {
        "horizontal": pytest.approx(0.3, abs=0.04),
        "vertical": pytest.approx(0.5, abs=0.04),
        None: pytest.approx(0.2, abs=0.04),
    }
    assert RandomFlip(prob=0.5, direction=["horizontal", "vertical"])._probs == [0.25, 0.25, 0.5]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_the_homography_maps_the_boxes_of_a_chain(seed: int):
    before = make_results(seed=seed)
    np.random.seed(seed)
    chain = [Resize(scale=(77, 91), clip_object_border=False), RandomFlip(0.9, ["horizontal", "vertical"])]
    after = {**before}
    for step in chain:
        after = step(after)
    points = np.concatenate([before["gt_bboxes"].reshape(-1, 2), np.ones((6, 1))], axis=1)
    mapped = (after["homography_matrix"] @ points.T).T[:, :2].reshape(-1, 2, 2)
    boxes = np.concatenate([mapped.min(axis=1), mapped.max(axis=1)], axis=1)
    assert np.allclose(boxes, after["gt_bboxes"], atol=1e-3)


def test_pad_to_size_divisor_and_square():
    results = Pad(size=(80, 50), pad_val=7)(make_results())
    assert results["img"].shape == (50, 80, 3)
    assert (results["img"][40:] == 7).all()
    assert (results["gt_seg_map"][:, 60:] == 255).all()
    assert results["gt_masks"].masks.shape == (3, 50, 80)
    assert not results["gt_masks"].masks[:, 40:].any()
    assert results["pad_shape"] == (50, 80, 3)
    assert results["img_shape"] == (50, 80)
    assert Pad(size_divisor=32)(make_results())["img"].shape == (64, 64, 3)
    assert Pad(pad_to_square=True)(make_results())["img"].shape == (60, 60, 3)
    assert Pad(pad_to_square=True, size_divisor=16)(make_results())["img"].shape == (64, 64, 3)
    assert Pad(size=(10, 10))(make_results())["img"].shape == (40, 60, 3)


def test_pad_value_of_each_kind():
    fill = {"img": (1, 2, 3), "seg": 9, "masks": 1}
    results = Pad(size=(80, 50), pad_val=fill)(make_results())
    assert results["img"][-1, -1].tolist() == [1, 2, 3]
    assert results["gt_seg_map"][-1, -1] == 9
    assert results["gt_masks"].masks[:, -1, -1].all()


@pytest.mark.parametrize(
    ("cls", "kwargs", "words"),
    [
        (Resize, {}, "scale"),
        (Resize, {"scale": (1, 2, 3)}, "1, 2, 3"),
        (RandomFlip, {}, "prob"),
        (RandomFlip, {"prob": 0.5, "direction": "sideways"}, "sideways"),
        (RandomFlip, {"prob": [0.5, 0.6], "direction": ["horizontal", "vertical"]}, "sum"),
        (RandomFlip, {"prob": [0.5]  , "direction": ["horizontal", "vertical"]}, "one a"),
        (Pad, {}, "size_divisor"),
        (Pad, {"size": (2, 2), "size_divisor": 2}, "size_divisor"),
    ],
)  # fmt: skip
def test_bad_arguments(cls, kwargs, words):
    with pytest.raises(ValueError, match=words):
        cls(**kwargs)


def test_random_resize_draws_sizes_for_the_detection_resize():
    transform = TRANSFORMS.build(
        {"type": "RandomResize", "scale": [(60, 30), (60, 50)], "keep_ratio": True, "_scope_": "detection"}
    )
    assert isinstance(transform.resize, Resize)
    np.random.seed(0)
    shapes = {transform(make_results())["img_shape"] for _ in range(20)}
    assert len(shapes) > 5
    assert all(30 <= height <= 40 for height, _ in shapes)
