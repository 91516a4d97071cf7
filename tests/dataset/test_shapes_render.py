"""Rendered shapes: the same everywhere, and annotated as drawn."""

from __future__ import annotations

import subprocess
import sys
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.dataset.shapes_render import CLASSES, render_shapes

# Pictures never change: people compare figures between versions, and a resumed run must see what it saw.
CHECKSUMS = {(0, 0, "train"): 2300274589, (7, 123, "test"): 1930202862}


def checksum(seed: int, index: int, split: str) -> int:
    scene = render_shapes(seed, index, (128, 96), split=split)
    return zlib.crc32(b"".join(np.ascontiguousarray(part).tobytes() for part in scene))


@pytest.mark.parametrize(("seed", "index", "split"), CHECKSUMS)
def test_pictures_are_what_they_were(seed: int, index: int, split: str):
    assert checksum(seed, index, split) == CHECKSUMS[seed, index, split]


def test_another_process_draws_the_same():
    code = (
        "import zlib, numpy as np; from toolkit.dataset.shapes_render import render_shapes;"
        "scene = render_shapes(7, 123, (128, 96), split='test');"
        "print(zlib.crc32(b''.join(np.ascontiguousarray(part).tobytes() for part in scene)))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == checksum(7, 123, "test")


def test_seed_index_and_split_each_change_the_picture():
    pictures = [
        render_shapes(0, 0).image,
        render_shapes(1, 0).image,
        render_shapes(0, 1).image,
        render_shapes(0, 0, split="test").image,
    ]
    assert all(not np.array_equal(a, b) for n, a in enumerate(pictures) for b in pictures[:n])


def test_nothing_global_is_drawn_from():
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    render_shapes(3, 3)
    assert np.random.rand() == expected


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from([(192, 192), (64, 64), (160, 96), (32, 32)]))
def test_annotations_say_what_is_visible(index: int, size: tuple[int, int]):
    scene = render_shapes(0, index, size, num_shapes=(1, 6))
    width, height = size
    count = len(scene.labels)
    assert 1 <= count <= 6
    assert scene.image.shape == (height, width, 3)
    assert scene.image.dtype == np.uint8
    assert scene.boxes.shape == (count, 4)
    assert scene.boxes.dtype == np.float32
    assert scene.masks.shape == (count, height, width)
    assert scene.masks.sum(axis=0).max() <= 1
    assert set(scene.labels) <= set(range(len(CLASSES)))
    assert (scene.visible >= 0.6).all()
    assert (scene.visible <= 1).all()
    for box, mask in zip(scene.boxes, scene.masks, strict=True):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def roundness(mask: np.ndarray) -> float:
    """The part of the smallest circle around a shape that the shape fills."""
    contour = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0]
    _, reach = cv2.minEnclosingCircle(contour)
    return mask.sum() / (np.pi * (reach + 0.5) ** 2)


def test_labels_are_the_shapes():
    parts: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for index in range(150):
        scene = render_shapes(0, index, (128, 128), num_shapes=(1, 1), radius=(0.2, 0.3))
        parts[int(scene.labels[0])].append(roundness(scene.masks[0]))
    assert min(map(len, parts.values())) > 30
    # areas of the inscribed square and equilateral triangle in a circle of area pi
    for label, area in enumerate((np.pi, 2, 3 * 3**0.5 / 4)):
        assert parts[label] == pytest.approx([area / np.pi] * len(parts[label]), abs=0.06)


def test_shapes_stand_out_from_the_background():
    for index in range(30):
        scene = render_shapes(1, index, num_shapes=(1, 1))
        inside = scene.masks[0].astype(bool)
        difference = np.abs(scene.image[inside].mean(axis=0) - scene.image[~inside].mean(axis=0))
        assert difference.max() > 45


def test_a_picture_takes_a_few_milliseconds_at_most():
    render_shapes(0, 0)
    start = time.perf_counter()
    for index in range(50):
        render_shapes(0, index)
    # about 1 ms on an idle core; the bound leaves room for a busy machine
    assert (time.perf_counter() - start) / 50 < 0.008
