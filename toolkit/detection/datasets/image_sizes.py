"""Sizes of image files, from their headers."""

from __future__ import annotations

import os

_ORIENTATION = 0x0112  # EXIF
_FIRST_TURNED = 5  # orientations 5 to 8 are turned by a quarter


def image_size(path: str, oriented: bool = True) -> tuple[int, int] | None:
    """Height and width of an image file, without decoding its pixels.

    Args:
        path: A local path.
        oriented: Whether the image is turned as its EXIF data say, as OpenCV does by default.

    Returns:
        None where there is no such file, or none that Pillow reads.
    """
    if not os.path.isfile(path):
        return None
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = oriented and image.getexif().get(_ORIENTATION, 1) >= _FIRST_TURNED
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    return (width, height) if turned else (height, width)
