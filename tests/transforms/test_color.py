"""Normalize and RandomGrayscale; what MMCV gives is among tests/detection/transforms/reference."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.transforms import Normalize, RandomGrayscale
from toolkit.utils.errors import ConfigError


def test_normalizing_tells_how():
    image = np.asarray([[[10, 20, 30]]], np.uint8)
    results = Normalize([1, 2, 3], [1, 2, 4])({"img": image})
    assert results["img"].dtype == np.float32
    assert results["img"].tolist() == [[[29, 9, 1.75]]]
    assert results["img_norm_cfg"]["mean"].tolist() == [1, 2, 3]
    assert Normalize([1], [2])({"img": image[..., 0]})["img"].tolist() == [[4.5]]


def test_gray_is_cut_to_whole_levels_where_the_image_has_such():
    image = np.asarray([[[60, 93, 20]]], np.uint8)
    assert RandomGrayscale(prob=1.0)({"img": image})["img"].tolist() == [[57]]
    weighted = RandomGrayscale(prob=1.0, keep_channels=True, channel_weights=(1, 2, 1))
    assert weighted({"img": image})["img"].tolist() == [[[66, 66, 66]]]
    assert weighted({"img": image.astype(np.float32)})["img"].tolist() == [[[66.5, 66.5, 66.5]]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Normalize([1, 2], [1]), "as many mean as std"),
        (lambda: Normalize([1], [0]), "above 0"),
        (lambda: Normalize([1], [1])({"img": np.zeros((2, 2, 3))}), "3 channels"),
        (lambda: RandomGrayscale(prob=2), "0..1"),
        (lambda: RandomGrayscale(channel_weights=(1, -1, 1)), "channel_weights"),
        (lambda: RandomGrayscale(color_format="lab"), "bgr, rgb, hsv"),
        (lambda: RandomGrayscale(prob=1.0)({"img": np.zeros((2, 2))}), "shape"),
    ],
)
def test_mistakes_are_named(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
