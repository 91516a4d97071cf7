from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from toolkit.detection.masks import BitmapMasks
from toolkit.registry import TRANSFORMS
from toolkit.transforms.torchvision_v2 import names, resolve
from toolkit.utils.errors import BuildError, DataError


def sample():
    rng = np.random.RandomState(0)
    masks = np.zeros((2, 20, 30), np.uint8)
    masks[0, 2:8, 3:9] = 1
    masks[1, 10:19, 12:28] = 1
    return {
        "img": rng.randint(0, 256, (20, 30, 3), dtype=np.uint8),
        "gt_bboxes": np.array([[3, 2, 9, 8], [12, 10, 28, 19]], np.float32),
        "gt_bboxes_labels": np.array([4, 7]),
        "gt_ignore_flags": np.array([False, True]),
        "gt_masks": BitmapMasks(masks, 20, 30),
        "gt_seg_map": masks.sum(0).astype(np.uint8),
    }


def build(name, **kwargs):
    return TRANSFORMS.build(dict(type=f"torchvision/{name}", **kwargs))


def test_flip_moves_all_together():
    before, after = sample(), build("RandomHorizontalFlip", p=1.0)(sample())
    np.testing.assert_array_equal(after["img"], before["img"][:, ::-1])
    np.testing.assert_array_equal(after["gt_bboxes"], [[21, 2, 27, 8], [2, 10, 18, 19]])
    np.testing.assert_array_equal(after["gt_masks"].masks, before["gt_masks"].masks[:, :, ::-1])
    np.testing.assert_array_equal(after["gt_seg_map"], before["gt_seg_map"][:, ::-1])
    assert after["img"].dtype == np.uint8
    assert after["gt_bboxes"].dtype == np.float32


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("RandomResizedCrop", {"size": (12, 16)}),
        ("ColorJitter", {"brightness": 0.5, "hue": 0.2}),
        ("RandomRotation", {"degrees": 30}),
        ("GaussianBlur", {"kernel_size": 3}),
        ("RandomPhotometricDistort", {"p": 1.0}),
    ],
)
def test_is_torchvisions_own(name, kwargs):
    """The same draw gives torchvision's own result on its own types."""
    torch.manual_seed(3)
    ours = build(name, **kwargs)(sample())
    before = sample()
    rgb = torch.from_numpy(before["img"][..., ::-1].copy()).permute(2, 0, 1)
    boxes = tv_tensors.BoundingBoxes(
        torch.from_numpy(before["gt_bboxes"]), format="XYXY", canvas_size=(20, 30)
    )
    torch.manual_seed(3)
    image, boxes = getattr(v2, name)(**kwargs)(tv_tensors.Image(rgb), boxes)
    np.testing.assert_array_equal(ours["img"], image.permute(1, 2, 0).numpy()[..., ::-1])
    np.testing.assert_array_equal(ours["gt_bboxes"], boxes.numpy())
    assert ours["img_shape"] == tuple(image.shape[1:])


def test_dropped_boxes_take_their_labels_along():
    cropped = build("CenterCrop", size=(10, 12))(sample())  # leaves nothing of the first box
    cleaned = build("SanitizeBoundingBoxes", min_size=1)(cropped)
    assert cleaned["gt_bboxes"].shape == (1, 4)
    assert cleaned["gt_bboxes_labels"].tolist() == [7]
    assert cleaned["gt_ignore_flags"].tolist() == [True]
    assert len(cleaned["gt_masks"]) == 1


def test_other_images():
    gray = build("RandomVerticalFlip", p=1.0)({"img": np.arange(6, dtype=np.uint8).reshape(2, 3)})
    assert gray["img"][..., 0].tolist() == [[3, 4, 5], [0, 1, 2]]
    as_float = build("ToDtype", dtype="float32", scale=True)(sample())
    assert as_float["img"].dtype == np.float32
    assert as_float["img"].max() <= 1
    assert build("ToPILImage")({"img": sample()["img"]})["img"].shape == (20, 30, 3)
    with pytest.raises(DataError, match="FiveCrop"):
        build("FiveCrop", size=4)({"img": sample()["img"]})


def test_config_values():
    assert (
        build("Resize", size=(4, 4), interpolation="nearest").inner.interpolation
        == v2.InterpolationMode.NEAREST
    )
    nested = build("RandomApply", transforms=[{"type": "torchvision/RandomInvert", "p": 1.0}], p=1.0)
    np.testing.assert_array_equal(nested(sample())["img"], 255 - sample()["img"])


def test_names():
    assert "RandomResizedCrop" in names()
    assert resolve("RandomResizedCrop") is None
    with pytest.raises(BuildError, match="did you mean 'RandomRotation'"):
        build("RandomRotaton", degrees=3)
    with pytest.raises(BuildError, match="did you mean 'degrees'"):
        build("RandomRotation", degree=3)


def test_pickles():
    copy = pickle.loads(pickle.dumps(build("RandomHorizontalFlip", p=1.0)))
    np.testing.assert_array_equal(copy(sample())["img"], sample()["img"][:, ::-1])


def test_a_missing_image_is_named():
    with pytest.raises(DataError, match="img"):
        build("RandomInvert")({})
