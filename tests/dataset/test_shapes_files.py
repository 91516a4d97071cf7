"""shapes:// addresses."""

from __future__ import annotations

import cv2
import fsspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.dataset.shapes_files import ShapesSource, write_shapes
from toolkit.fileio import path_exists
from toolkit.transforms import read_image
from toolkit.utils import DataError

SOURCE = ShapesSource(split="val", seed=3, size=(96, 64), num_shapes=(2, 3), radius=(0.1, 0.2))


def test_what_is_read_is_what_is_rendered():
    assert np.array_equal(read_image(SOURCE.address(5)), SOURCE.render(5).image)
    with fsspec.open(SOURCE.address(5), "rb") as stream:
        assert stream.read(2) == b"BM"
    assert path_exists(SOURCE.address(5))


@given(
    st.sampled_from(["train", "val", "hold_out"]),
    st.integers(-3, 10**6),
    st.integers(8, 999),
    st.integers(0, 10**7),
    st.floats(0.01, 0.4),
)
def test_an_address_says_all(split, seed, width, index, radius):
    source = ShapesSource(split, seed, (width, 64), (1, 5), (radius, 0.4))
    assert ShapesSource.from_address(source.address(index)) == (source, index)


@pytest.mark.parametrize("address", ["shapes://train/0", "shapes://train/0/9x9/1-2/0.1-0.2/x.bmp", "a.jpg"])
def test_other_addresses_are_refused(address):
    with pytest.raises(DataError, match="shapes://train/0/192x192"):
        ShapesSource.from_address(address)


def test_pictures_as_files(tmp_path):
    paths = write_shapes(str(tmp_path / "out"), 3, SOURCE)
    assert len(paths) == 3
    assert np.array_equal(cv2.imread(paths[2]), SOURCE.render(2).image)
