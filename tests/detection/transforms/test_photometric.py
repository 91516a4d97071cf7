"""PhotoMetricDistortion, against the steps of SSD written out in double precision."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.transforms import PhotoMetricDistortion


def reference(
    image: np.ndarray, seed: int, brightness=32, contrast=(0.5, 1.5), saturation=(0.5, 1.5), hue=18
):
    """The distortion of a BGR image in floating point, pixel by pixel, not clipped."""
    np.random.seed(seed)
    mode, *flags = (np.random.randint(2) for _ in range(6))
    delta = np.random.uniform(-brightness, brightness)
    alpha, scale = np.random.uniform(*contrast), np.random.uniform(*saturation)
    turn, order = np.random.uniform(-hue, hue), np.random.permutation(3)
    out = image.astype(np.float64)
    if flags[0]:
        out += delta
    if flags[1] and mode == 1:
        out *= alpha
    if flags[2] or flags[3]:
        flat = out.reshape(-1, 3)
        for pixel in flat:
            h, s, v = colorsys.rgb_to_hsv(*pixel[::-1])
            s = s * scale if flags[2] else s
            s = min(max(s, 0), 1) if flags[2] and scale > 1 else s
            h = h + turn / 360 if flags[3] else h
            pixel[:] = colorsys.hsv_to_rgb(h % 1, s, v)[::-1]
    if flags[1] and mode == 0:
        out *= alpha
    return out[..., order] if flags[4] else out


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**31 - 1))
def test_uint8_is_the_float_result_rounded_and_clipped_once(seed: int):
    # away from black and white, where no step leaves the range and HSV is well defined
    image = np.random.RandomState(seed % 1000).randint(60, 160, (6, 7, 3), dtype=np.uint8)
    expected = reference(image, seed)
    np.random.seed(seed)
    result = PhotoMetricDistortion()({"img": image.copy()})["img"]
    assert result.dtype == np.uint8
    assert np.abs(result - np.clip(expected, 0, 255)).max() <= 0.51


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_a_float_image_is_not_clipped(seed: int):
    image = np.random.RandomState(seed % 1000).randint(60, 250, (6, 7, 3)).astype(np.float32)
    expected = reference(image, seed)
    np.random.seed(seed)
    result = PhotoMetricDistortion()({"img": image.copy()})["img"]
    assert result.dtype == np.float32
    assert np.allclose(result, expected, atol=0.02)


def test_the_input_is_not_written_to():
    image = np.random.RandomState(0).randint(0, 256, (8, 8, 3), dtype=np.uint8)
    kept = image.copy()
    for seed in range(20):
        np.random.seed(seed)
        PhotoMetricDistortion()({"img": image})
    assert np.array_equal(image, kept)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_the_same_seed_gives_the_same_image(dtype):
    image = np.random.RandomState(0).randint(0, 256, (8, 8, 3)).astype(dtype)
    results = []
    for _ in range(2):
        np.random.seed(5)
        results.append(PhotoMetricDistortion()({"img": image})["img"])
    assert np.array_equal(*results)
