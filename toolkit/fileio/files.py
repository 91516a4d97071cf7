"""Reading local files and, through fsspec, files behind a URL such as `s3://bucket/key`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

Args: TypeAlias = Mapping[str, Any] | None

_SCHEME = "://"


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path names a file behind a protocol (`s3://`, `https://`), not a local one."""
    return _SCHEME in os.fspath(path)


def join_path(
    filepath: str | os.PathLike[str],
    *filepaths: str | os.PathLike[str],
    backend_args: Mapping[str, Any] | None = None,
) -> str:
    """Join path parts; an absolute or URL part starts anew, and URLs are joined with `/` everywhere.

    `backend_args` is taken because MMEngine's function takes it; joining asks no file system.
    """
    joined = os.fspath(filepath)
    for part in (os.fspath(part) for part in filepaths):
        if not part:
            continue
        if not joined or is_url(part) or os.path.isabs(part):
            joined = part
        elif is_url(joined):
            joined = joined.rstrip("/") + "/" + part
        else:
            joined = os.path.join(joined, part)
    return joined


def storage_options(backend_args: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that fsspec takes: `backend_args` without MMEngine's `backend` name."""
    return {key: value for key, value in (backend_args or {}).items() if key != "backend"}


def either_args(file_client_args: Args, backend_args: Args) -> Args:
    """The options of a storage, by either name of the argument; the former one is warned of.

    Raises:
        ValueError: Both are given.
    """
    if file_client_args is None:
        return backend_args
    if backend_args is not None:
        raise ValueError("file_client_args is the former name of backend_args: pass one of them")
    warnings.warn("file_client_args is called backend_args now", FutureWarning, stacklevel=3)
    return file_client_args


def read_bytes(path: str | os.PathLike[str], backend_args: Mapping[str, Any] | None = None) -> bytes:
    """The content of a local file or of a URL.

    Args:
        path: A local path, or a URL that fsspec knows.
        backend_args: Options for the file system of a URL (keys, endpoints); local paths ignore them.

    Raises:
        OSError: If it can't be read.
    """
    if not is_url(path):
        with open(path, "rb") as file:
            return file.read()
    import fsspec

    with fsspec.open(os.fspath(path), "rb", **storage_options(backend_args)) as file:
        content: bytes = file.read()
    return content


def read_text(path: str | os.PathLike[str], backend_args: Mapping[str, Any] | None = None) -> str:
    """The content of a UTF-8 text file, local or behind a URL."""
    return read_bytes(path, backend_args).decode("utf-8")


def path_exists(path: str | os.PathLike[str], backend_args: Mapping[str, Any] | None = None) -> bool:
    """Whether a local path or a URL exists."""
    if not is_url(path):
        return os.path.exists(path)
    import fsspec

    system, inner = fsspec.core.url_to_fs(os.fspath(path), **storage_options(backend_args))
    return bool(system.exists(inner))
