"""From what a user names (files, folders, globs, arrays) to inputs of a pipeline."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from toolkit.utils.errors import DataError
from toolkit.utils.suggest import did_you_mean

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def find_images(names: Iterable[str]) -> list[str]:
    """The image files that the given names stand for, without repeats.

    Args:
        names: Files, folders (searched through, sorted) and glob patterns (`**` reaches into folders).

    Raises:
        DataError: A name stands for no image.
    """
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_expand(name)))
    return list(found)


def _expand(name: str) -> list[str]:
    if os.path.isfile(name):
        return [name]
    if os.path.isdir(name):
        files = (os.path.join(top, file) for top, _, files in os.walk(name) for file in files)
        images = sorted(file for file in files if file.lower().endswith(IMAGE_SUFFIXES))
        if not images:
            raise DataError(f"The folder {name!r} holds no image ({', '.join(IMAGE_SUFFIXES)}).")
        return images
    if glob.has_magic(name):
        images = [file for file in sorted(glob.glob(name, recursive=True)) if os.path.isfile(file)]
        if not images:
            raise DataError(f"The pattern {name!r} matches no file.")
        return images
    folder = os.path.dirname(name) or "."
    siblings = os.listdir(folder) if os.path.isdir(folder) else []
    raise DataError(f"There is no image {name!r}{did_you_mean(os.path.basename(name), siblings)}")


def files_in(folder: str) -> list[str]:
    """The files of a folder, sorted; folders in it are not looked into."""
    return sorted(entry.path for entry in os.scandir(folder) if entry.is_file())


def short_names(paths: Sequence[str]) -> list[str]:
    """A name for each path: relative to the folder that all share, so that no two results collide."""
    absolute = [os.path.abspath(path) for path in paths]
    top = os.path.commonpath([os.path.dirname(path) for path in absolute]) if absolute else ""
    return [os.path.relpath(path, top) for path in absolute]


def as_sample(image: Any) -> dict[str, Any]:
    """The start of a test pipeline.

    Args:
        image: A path or URL; a uint8 BGR array of shape (H, W, 3); or a dict of what a pipeline reads, such
            as `img_path` or `img`.

    Raises:
        DataError: It is none of these.
    """
    sample: dict[str, Any] = {"img_id": 0, "sample_idx": 0, "img_path": None}
    if isinstance(image, (str, os.PathLike)):
        sample["img_path"] = os.fspath(image)
    elif isinstance(image, np.ndarray):
        sample["img"] = image
    elif isinstance(image, dict):
        sample.update(image)
    else:
        raise DataError(f"an image is given as a path, an array or a dict, not as {type(image).__name__}")
    if sample.get("img") is not None:
        size = sample["img"].shape[:2]
        sample = {"img_shape": size, "ori_shape": size, **sample}
    return sample
