from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.transforms import image_ops as ops


@pytest.fixture
def image():
    return np.random.RandomState(0).randint(0, 256, (7, 11, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("old", "scale", "new"),
    [
        # A COCO image: 640x480 to 1333x800 has the factor 800/480 = 5/3; 1066.67 rounds half up.
        ((640, 480), (1333, 800), (1067, 800)),
        ((480, 640), (1333, 800), (800, 1067)),
        ((480, 640), (800, 1333), (800, 1067)),
        ((1000, 400), (1333, 800), (1333, 533)),
        ((5, 3), 0.5, (3, 2)),
        ((10, 10), 2, (20, 20)),
    ],
)
def test_rescale_size(old, scale, new):
    assert ops.rescale_size(old, scale) == new
    assert ops.rescale_size(old, scale, return_scale=True)[0] == new


def test_rescale_size_refuses():
    with pytest.raises(ValueError, match="-1"):
        ops.rescale_size((3, 3), -1)
    with pytest.raises(TypeError, match="NoneType"):
        ops.rescale_size((3, 3), None)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 1500), st.integers(1, 1500))
def test_rescale_size_fits(width, height, a, b):
    new = ops.rescale_size((width, height), (a, b))
    assert max(new) <= max(a, b)
    assert min(new) <= min(a, b)
    assert max(new) == max(a, b) or min(new) == min(a, b)


def test_imresize(image):
    resized, w, h = ops.imresize(image, (22, 14), return_scale=True)
    assert resized.shape == (14, 22, 3)
    assert (w, h) == (2.0, 2.0)
    np.testing.assert_array_equal(resized, cv2.resize(image, (22, 14), interpolation=cv2.INTER_LINEAR))
    assert ops.imresize(image[..., :1], (4, 4)).shape == (4, 4, 1)
    assert ops.imresize(image, (4, 5), backend="pillow").shape == (5, 4, 3)
    with pytest.raises(ValueError, match="biliner"):
        ops.imresize(image, (4, 4), interpolation="biliner")
    with pytest.raises(ValueError, match="turbo"):
        ops.imresize(image, (4, 4), backend="turbo")


def test_imrescale(image):
    resized, factor = ops.imrescale(image, (22, 100), return_scale=True)
    assert factor == pytest.approx(22 / 7)  # the shorter side bounds it
    assert resized.shape == (22, 35, 3)


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 1), ("vertical", 0), ("diagonal", (0, 1))])
@pytest.mark.parametrize("channels", [None, 1, 3, 6])
def test_imflip(direction, axis, channels):
    shape = (4, 5) if channels is None else (4, 5, channels)
    image = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)
    flipped = ops.imflip(image, direction)
    np.testing.assert_array_equal(flipped, np.flip(image, axis))
    assert flipped.flags.c_contiguous


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
@pytest.mark.parametrize("channels", [None, 1, 3, 6])
def test_impad_is_numpys(mode, channels):
    shape = (5, 6) if channels is None else (5, 6, channels)
    image = np.random.RandomState(0).randint(0, 256, shape, dtype=np.uint8)
    padded = ops.impad(image, padding=(1, 2, 3, 4), padding_mode=mode, pad_val=7)
    widths = [(2, 4), (1, 3)] + ([] if channels is None else [(0, 0)])
    extra = {"constant_values": 7} if mode == "constant" else {}
    np.testing.assert_array_equal(padded, np.pad(image, widths, mode=mode, **extra))


def test_impad_forms(image):
    assert ops.impad(image, shape=(9, 9)).shape == (9, 11, 3)
    assert ops.impad(image, padding=2).shape == (11, 15, 3)
    assert ops.impad(image, padding=(1, 2)).shape == (11, 13, 3)
    assert ops.impad(image, shape=(8, 11), pad_val=(1, 2, 3))[7, 0].tolist() == [1, 2, 3]
    assert ops.impad_to_multiple(image, 4).shape == (8, 12, 3)
    with pytest.raises(ValueError, match="2 values for 3"):
        ops.impad(image, padding=1, pad_val=(1, 2))
    with pytest.raises(ValueError, match="one of them"):
        ops.impad(image)


def test_imcrop(image):
    np.testing.assert_array_equal(ops.imcrop(image, np.array([2, 1, 5, 3])), image[1:4, 2:6])
    first, second = ops.imcrop(image, np.array([[0, 0, 0, 0], [-2, -1, 3, 2]]))
    assert first.shape == (1, 1, 3)
    np.testing.assert_array_equal(second, image[:3, :4])
    filled = ops.imcrop(image, np.array([-2, -1, 3, 2]), pad_fill=9)
    assert filled.shape == (4, 6, 3)
    assert (filled[0] == 9).all()
    np.testing.assert_array_equal(filled[1:, 2:], image[:3, :4])
    assert ops.imcrop(image, np.array([4, 2, 5, 3]), scale=2).shape == (4, 4, 3)


def test_colours(image):
    np.testing.assert_array_equal(ops.bgr2rgb(image), image[..., ::-1])
    np.testing.assert_array_equal(ops.rgb2bgr(image), image[..., ::-1])
    assert ops.bgr2gray(image, keepdim=True).shape == (7, 11, 1)
    np.testing.assert_array_equal(ops.rgb2gray(image[..., ::-1].copy()), ops.bgr2gray(image))
    assert ops.gray2bgr(ops.bgr2gray(image)).shape == image.shape
    floats = image.astype(np.float32) / 255
    np.testing.assert_allclose(ops.hsv2bgr(ops.bgr2hsv(floats)), floats, atol=1e-3)
    np.testing.assert_allclose(ops.hls2bgr(ops.bgr2hls(floats)), floats, atol=1e-3)


def test_imnormalize(image):
    mean, std = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    np.testing.assert_allclose(
        ops.imnormalize(image, mean, std),
        (image[..., ::-1].astype(np.float64) - mean) / std,
        rtol=1e-5,
        atol=1e-5,
    )
