"""Paths of the local file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def is_filepath(x: Any) -> bool:
    """Whether `x` can be a path: a str or a `Path`."""
    return isinstance(x, (str, Path))


def is_abs(path: str) -> bool:
    """Whether a path stands for itself: absolute, or behind a protocol such as `s3://`."""
    return os.path.isabs(path) or "://" in path


def fopen(filepath: str | Path, *args: Any, **kwargs: Any) -> IO[Any]:
    """`open` for a str or a `Path`, and for nothing else.

    Raises:
        ValueError: `filepath` is something else, such as a file descriptor.
    """
    if not is_filepath(filepath):
        raise ValueError(f"a file is named by a str or a Path, got a {type(filepath).__name__}")
    return open(filepath, *args, **kwargs)


def check_file_exist(filename: str | Path, msg_tmpl: str = 'file "{}" does not exist') -> None:
    """Make sure that there is a file.

    Raises:
        FileNotFoundError: There is none; `msg_tmpl` is the message, with the name put in.
    """
    if not os.path.isfile(filename):
        raise FileNotFoundError(msg_tmpl.format(filename))


def mkdir_or_exist(dir_name: str | Path, mode: int = 0o777) -> None:
    """Make a folder and those above it; nothing happens where it exists, or for an empty name."""
    if dir_name != "":
        os.makedirs(os.path.expanduser(dir_name), mode=mode, exist_ok=True)


def symlink(src: str | Path, dst: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
    """Make `dst` a link to `src`; what is at `dst` goes first, unless `overwrite` is False.

    Raises:
        FileExistsError: There is something at `dst`, and `overwrite` is False.
    """
    if overwrite and os.path.lexists(dst):
        os.remove(dst)
    os.symlink(src, dst, **kwargs)


def scandir(
    dir_path: str | Path,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    case_sensitive: bool = True,
) -> Iterator[str]:
    """The files of a folder, as paths relative to it; hidden files are left out.

    Args:
        dir_path: The folder.
        suffix: Only files that end so, or in one of several ways.
        recursive: Look into the folders below as well.
        case_sensitive: Whether `suffix` tells small letters from capitals.

    Raises:
        TypeError: `dir_path` or `suffix` is of another type.
    """
    if not is_filepath(dir_path):
        raise TypeError(f"dir_path is a str or a Path, got a {type(dir_path).__name__}")
    if suffix is not None and not isinstance(suffix, (str, tuple)):
        raise TypeError(f"suffix is a str or a tuple of them, got a {type(suffix).__name__}")
    endings = (suffix,) if isinstance(suffix, str) else suffix
    if endings is not None and not case_sensitive:
        endings = tuple(ending.lower() for ending in endings)

    def walk(folder: str, prefix: str) -> Iterator[str]:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_file():
                    seen = name if case_sensitive else name.lower()
                    if not entry.name.startswith(".") and (endings is None or seen.endswith(endings)):
                        yield name
                elif recursive and entry.is_dir():
                    yield from walk(entry.path, name + os.sep)

    return walk(str(dir_path), "")
