"""Reading images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

import cv2
import numpy as np

from toolkit.fileio import is_url, read_bytes
from toolkit.registry import TRANSFORMS
from toolkit.transforms.base import BaseTransform
from toolkit.utils.errors import DataError

_FLAGS = {
    "color": cv2.IMREAD_COLOR,
    "grayscale": cv2.IMREAD_GRAYSCALE,
    "unchanged": cv2.IMREAD_UNCHANGED,
    "color_ignore_orientation": cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    "grayscale_ignore_orientation": cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
}
_BACKENDS = ("cv2", "pillow")


def read_image(
    path: str | os.PathLike[str],
    color_type: str = "color",
    backend: str = "cv2",
    backend_args: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Read an image file or URL.

    Args:
        path: A local path or a URL.
        color_type: See `LoadImageFromFile`.
        backend: 'cv2' or 'pillow'.
        backend_args: Options for the file system of a URL.

    Returns:
        (H, W, 3) uint8 in BGR; (H, W) for grey; what the file holds where unchanged.

    Raises:
        DataError: It can't be read or decoded; the message names it.
    """
    try:
        content: Any = read_bytes(path, backend_args) if is_url(path) else np.fromfile(path, np.uint8)
    except (OSError, ImportError) as error:
        raise DataError(f"image {os.fspath(path)!r} can't be read: {error}") from error
    return decode_image(content, os.fspath(path), color_type, backend)


def decode_image(content: Any, name: str, color_type: str = "color", backend: str = "cv2") -> np.ndarray:
    """Decode the bytes of an image file; see `read_image`.

    Raises:
        DataError: They are no image; the message calls it `name`.
    """
    size = len(content)
    image = None
    if size:
        image = (
            _decode_pillow(content, color_type) if backend == "pillow" else _decode_cv2(content, color_type)
        )
    if image is None:
        raise DataError(
            f"image {name!r} can't be decoded ({size} bytes): it is empty, damaged, or of a format that "
            f"{backend} "
            "doesn't know; replace it, or take it out of the dataset"
        )
    return image


def _decode_cv2(content: Any, color_type: str) -> np.ndarray | None:
    array = content if isinstance(content, np.ndarray) else np.frombuffer(content, np.uint8)
    try:
        return cv2.imdecode(array, _FLAGS[color_type])
    except cv2.error:
        return None


def _decode_pillow(content: Any, color_type: str) -> np.ndarray | None:
    import io

    from PIL import Image, ImageOps

    try:
        image: Image.Image = Image.open(io.BytesIO(bytes(content)))
        image.load()
    except OSError:
        return None
    if color_type == "unchanged":
        array = np.array(image)
        if array.ndim == 3 and array.shape[2] in (3, 4):
            array[..., :3] = array[..., 2::-1]
        return array
    if not color_type.endswith("ignore_orientation"):
        image = ImageOps.exif_transpose(image)
    if color_type.startswith("grayscale"):
        return np.array(image.convert("L"))
    return cv2.cvtColor(np.array(image.convert("RGB")), cv2.COLOR_RGB2BGR)


@TRANSFORMS.register_module()
class LoadImageFromFile(BaseTransform):
    """Read the image of a sample.

    Reads: `img_path`.
    Changes: none.
    Writes: `img`, `img_shape`, `ori_shape`.

    An `img` that is there already is kept (a picture given to the inferencer as an array). The image is (H,
    W, 3) uint8 BGR, shapes are (h, w).

    Args:
        to_float32: Convert to float32.
        color_type: color, grayscale, unchanged, and the first two with `_ignore_orientation`, which leaves
            the EXIF orientation out of account.
        imdecode_backend: cv2 or pillow.
        file_client_args: Not used any more; the older spelling of `backend_args`.
        ignore_empty: Drop the sample instead of raising where the image can't be read.
        backend_args: Options for the file system of a URL path (`s3://`, `https://`), which fsspec opens.

    Raises:
        DataError: The image can't be read or decoded.
    """

    reads: ClassVar[tuple[str, ...]] = ("img_path",)
    writes: ClassVar[tuple[str, ...]] = ("img", "img_shape", "ori_shape")

    def __init__(
        self,
        to_float32: bool = False,
        color_type: str = "color",
        imdecode_backend: str = "cv2",
        file_client_args: Mapping[str, Any] | None = None,
        ignore_empty: bool = False,
        *,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        if color_type not in _FLAGS:
            raise ValueError(f"color_type must be one of {', '.join(_FLAGS)}, but got {color_type!r}")
        if imdecode_backend not in _BACKENDS:
            raise ValueError(
                f"imdecode_backend must be one of {', '.join(_BACKENDS)}, but got {imdecode_backend!r}"
            )
        self.to_float32 = to_float32
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend
        self.ignore_empty = ignore_empty
        self.backend_args = backend_args if backend_args is not None else file_client_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """The sample with its image; None where that can't be read and `ignore_empty` is set."""
        image = results.get("img")
        if image is None:
            try:
                image = read_image(
                    results["img_path"], self.color_type, self.imdecode_backend, self.backend_args
                )
            except DataError:
                if self.ignore_empty:
                    return None
                raise
        return self.placed(results, image)

    def placed(self, results: dict[str, Any], image: np.ndarray) -> dict[str, Any]:
        """The sample with an image and its size."""
        results["img"] = image.astype(np.float32) if self.to_float32 else image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results
