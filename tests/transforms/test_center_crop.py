"""CenterCrop; what MMCV gives is among tests/detection/transforms/reference."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.detection.masks import BitmapMasks
from toolkit.registry import DefaultScope
from toolkit.transforms import CenterCrop
from toolkit.utils.errors import ConfigError


def sample() -> dict:
    rng = np.random.RandomState(0)
    bitmaps = np.zeros((1, 20, 30), np.uint8)
    bitmaps[0, 6:16, 9:21] = 1
    return {
        "img": rng.randint(0, 256, (20, 30, 3)).astype(np.uint8),
        "gt_bboxes": np.asarray([[9, 6, 21, 16]], np.float32),
        "gt_masks": BitmapMasks(bitmaps, 20, 30),
    }


def test_masks_go_with_their_boxes():
    results = CenterCrop((14, 12))(sample())
    assert (results["gt_masks"].height, results["gt_masks"].width) == results["img_shape"] == (12, 14)
    assert np.array_equal(results["gt_masks"].get_bboxes(), results["gt_bboxes"])
    assert results["gt_bboxes"].tolist() == [[1, 2, 13, 12]]
    assert (results["homography_matrix"] @ [9, 6, 1]).tolist() == [1, 2, 1]


def test_the_missing_part_is_padded():
    with DefaultScope.overwrite_default_scope("mmdet"):
        given = sample()
        image = given["img"]
        results = CenterCrop((40, 10), auto_pad=True, pad_cfg={"pad_val": 7})(given)
    assert results["img_shape"] == results["gt_masks"].to_ndarray().shape[1:] == (10, 40)
    assert np.array_equal(results["img"][:, :30], image[5:15])
    assert (results["img"][:, 30:] == 7).all()


@pytest.mark.parametrize("size", [0, (3, -1), (3,), 2.5])
def test_a_size_that_is_none(size):
    with pytest.raises(ConfigError, match="crop_size"):
        CenterCrop(size)
