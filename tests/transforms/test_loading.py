from __future__ import annotations

import cv2
import fsspec
import numpy as np
import pytest

from toolkit.transforms import LoadImageFromFile, read_image
from toolkit.utils.errors import DataError


@pytest.fixture
def image():
    return np.random.RandomState(0).randint(0, 256, (6, 9, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path, image):
    name = str(tmp_path / "ünï.png")
    cv2.imencode(".png", image)[1].tofile(name)
    return name


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_reads_bgr(path, image, backend):
    results = LoadImageFromFile(imdecode_backend=backend)({"img_path": path})
    np.testing.assert_array_equal(results["img"], image)
    assert results["img"].dtype == np.uint8
    assert results["img_shape"] == results["ori_shape"] == (6, 9)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_colour_types(tmp_path, image, backend):
    rgba = np.dstack([image, np.full((6, 9), 7, np.uint8)])
    name = str(tmp_path / "a.png")
    cv2.imwrite(name, rgba)
    assert read_image(name, "grayscale", backend).shape == (6, 9)
    np.testing.assert_array_equal(read_image(name, "unchanged", backend), rgba)
    np.testing.assert_array_equal(read_image(name, "color", backend), image)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_orientation(tmp_path, image, backend):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    name = str(tmp_path / "turned.jpg")
    Image.fromarray(image).save(name, exif=exif)
    assert read_image(name, "color", backend).shape == (9, 6, 3)
    assert read_image(name, "color_ignore_orientation", backend).shape == (6, 9, 3)


def test_to_float(path):
    assert LoadImageFromFile(to_float32=True)({"img_path": path})["img"].dtype == np.float32


def test_reads_urls(path, image):
    with fsspec.open("memory://bucket/1.png", "wb") as file, open(path, "rb") as source:
        file.write(source.read())
    results = LoadImageFromFile(backend_args={"backend": "fsspec"})({"img_path": "memory://bucket/1.png"})
    np.testing.assert_array_equal(results["img"], image)


def test_an_array_is_kept(image):
    assert LoadImageFromFile()({"img": image, "img_path": None})["img"] is image


@pytest.mark.parametrize(
    ("content", "match"), [(b"", "0 bytes"), (b"no image at all", "15 bytes"), (None, "can't be read")]
)
@pytest.mark.parametrize("backend", ["cv2", "pillow"])
def test_unreadable_images_are_named(tmp_path, content, match, backend):
    name = str(tmp_path / "broken.jpg")
    if content is not None:
        (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(DataError, match=match) as caught:
        LoadImageFromFile(imdecode_backend=backend)({"img_path": name})
    assert name in str(caught.value)
    assert LoadImageFromFile(ignore_empty=True)({"img_path": name}) is None
    with pytest.raises(DataError, match="nowhere"):
        LoadImageFromFile()({"img_path": "memory://nowhere/1.png"})


def test_a_missing_key_is_named():
    with pytest.raises(DataError, match=r"LoadImageFromFile needs \['img_path'\].*\['path'\]"):
        LoadImageFromFile()({"path": "x"})


def test_wrong_arguments():
    with pytest.raises(ValueError, match="colour"):
        LoadImageFromFile(color_type="colour")
    with pytest.raises(ValueError, match="turbojpeg"):
        LoadImageFromFile(imdecode_backend="turbojpeg")
