"""Finding and reading the files of a dataset, with errors that say what is missing and what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from toolkit import fileio
from toolkit.utils import DataError, did_you_mean

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def read_bytes(path: str, what: str, backend_args: Mapping[str, Any] | None = None) -> bytes:
    """The content of a file.

    Args:
        path: A local path or a URL that fsspec understands.
        what: What the file is to the user, for the error message: "annotation file".
        backend_args: Options of the fsspec file system.

    Raises:
        DataError: There is no such file. It names the nearest existing part of the path.
    """
    try:
        return fileio.read_bytes(path, backend_args)
    except FileNotFoundError as error:
        raise DataError(f"The {what} {path!r} doesn't exist. {_what_is_there(path)}") from error
    except OSError as error:
        raise DataError(f"The {what} {path!r} can't be read: {error.strerror or error}.") from error


def read_lines(path: str, what: str, backend_args: Mapping[str, Any] | None = None) -> list[str]:
    """The lines of a text file that hold anything, stripped."""
    text = read_bytes(path, what, backend_args).decode("utf-8-sig")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _what_is_there(path: str) -> str:
    """The first part of a path that is missing, and the name in its place that is nearest."""
    if fileio.is_url(path) or not path:
        return "Check data_root and ann_file."
    missing = os.path.abspath(path)
    while not os.path.isdir(os.path.dirname(missing)):
        missing = os.path.dirname(missing)
    folder, name = os.path.split(missing)
    there = sorted(os.listdir(folder))
    shown = ", ".join(there[:8]) + (", …" if len(there) > 8 else "")
    return (
        f"{folder!r} has no {name!r}{did_you_mean(name, there) or '.'} It holds: {shown or 'nothing'}. "
        "Check data_root, ann_file and data_prefix; data_root=… on the command line sets the first."
    )


class ImageFolder:
    """Image files of a folder by their name without suffix; each folder is listed once.

    Args:
        root: The folder. A remote one isn't listed; its images are taken to be `.jpg`.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._listings: dict[str, dict[str, str]] = {}

    def find(self, stem: str) -> str | None:
        """The path of the image called `stem` (which may hold folders), or None where there is none."""
        if fileio.is_url(self.root):
            return fileio.join_path(self.root, f"{stem}.jpg")
        folder, name = os.path.split(os.path.join(self.root, stem))
        file = self._listing(folder).get(name)
        return os.path.join(folder, file) if file is not None else None

    def _listing(self, folder: str) -> dict[str, str]:
        if folder not in self._listings:
            files = os.listdir(folder) if os.path.isdir(folder) else []
            ranked = [
                (IMAGE_SUFFIXES.index(suffix.lower()), stem, suffix)
                for stem, suffix in map(os.path.splitext, files)
                if suffix.lower() in IMAGE_SUFFIXES
            ]
            # the suffix that comes first in the table wins, so it is entered last
            self._listings[folder] = {stem: stem + suffix for _, stem, suffix in sorted(ranked, reverse=True)}
        return self._listings[folder]
