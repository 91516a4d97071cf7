"""Reading, writing, copying and listing files, local or behind URLs, by functions.

`backend_args` are the options of the storage everywhere; a ``backend`` among them names a registered one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

from toolkit.fileio.backends import PathLike, get_file_backend

Args = Mapping[str, Any] | None


def get(filepath: PathLike, backend_args: Args = None) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    content: bytes = get_file_backend(filepath, backend_args=backend_args).get(filepath)
    return content


def get_text(filepath: PathLike, encoding: str = "utf-8", backend_args: Args = None) -> str:
    """The content of a text file.

    Raises:
        FileNotFoundError: There is no such file.
    """
    text: str = get_file_backend(filepath, backend_args=backend_args).get_text(filepath, encoding)
    return text


def put(obj: bytes, filepath: PathLike, backend_args: Args = None) -> None:
    """Write bytes to a file, replacing it; folders above it are made."""
    get_file_backend(filepath, backend_args=backend_args).put(obj, filepath)


def put_text(obj: str, filepath: PathLike, backend_args: Args = None) -> None:
    """Write text to a file, replacing it; folders above it are made."""
    get_file_backend(filepath, backend_args=backend_args).put_text(obj, filepath)


def exists(filepath: PathLike, backend_args: Args = None) -> bool:
    """Whether there is a file or a folder."""
    return bool(get_file_backend(filepath, backend_args=backend_args).exists(filepath))


def isdir(filepath: PathLike, backend_args: Args = None) -> bool:
    """Whether there is a folder."""
    return bool(get_file_backend(filepath, backend_args=backend_args).isdir(filepath))


def isfile(filepath: PathLike, backend_args: Args = None) -> bool:
    """Whether there is a file."""
    return bool(get_file_backend(filepath, backend_args=backend_args).isfile(filepath))


def get_local_path(filepath: PathLike, backend_args: Args = None) -> AbstractContextManager[str]:
    """A context manager: a local file with this content, the file itself where it is local.

    >>> with get_local_path("s3://bucket/weights.pth") as path:  # doctest: +SKIP
    ...     weights = torch.load(path, weights_only=True)
    """
    local: AbstractContextManager[str] = get_file_backend(filepath, backend_args=backend_args).get_local_path(
        filepath
    )
    return local


def copyfile(src: PathLike, dst: PathLike, backend_args: Args = None) -> str:
    """Copy a file within a storage, into `dst` where it is a folder; returns where it went."""
    copied: str = get_file_backend(src, backend_args=backend_args).copyfile(src, dst)
    return copied


def copytree(src: PathLike, dst: PathLike, backend_args: Args = None) -> str:
    """Copy a folder within a storage to a new place, and return that.

    Raises:
        FileExistsError: `dst` exists.
    """
    copied: str = get_file_backend(src, backend_args=backend_args).copytree(src, dst)
    return copied


def copyfile_from_local(src: PathLike, dst: PathLike, backend_args: Args = None) -> str:
    """Copy a local file to a storage; returns where it went."""
    copied: str = get_file_backend(dst, backend_args=backend_args).copyfile_from_local(src, dst)
    return copied


def copytree_from_local(src: PathLike, dst: PathLike, backend_args: Args = None) -> str:
    """Copy a local folder to a new place in a storage, and return that.

    Raises:
        FileExistsError: `dst` exists.
    """
    copied: str = get_file_backend(dst, backend_args=backend_args).copytree_from_local(src, dst)
    return copied


def copyfile_to_local(src: PathLike, dst: PathLike, backend_args: Args = None) -> str:
    """Copy a file of a storage to a local path; returns where it went."""
    copied: str = get_file_backend(src, backend_args=backend_args).copyfile_to_local(src, dst)
    return copied


def copytree_to_local(src: PathLike, dst: PathLike, backend_args: Args = None) -> str:
    """Copy a folder of a storage to a local one; returns `dst`."""
    copied: str = get_file_backend(src, backend_args=backend_args).copytree_to_local(src, dst)
    return copied


def copy_if_symlink_fails(src: PathLike, dst: PathLike, backend_args: Args = None) -> bool:
    """Link `dst` to `src`, or copy where there are no links; returns whether it is a link."""
    return bool(get_file_backend(src, backend_args=backend_args).copy_if_symlink_fails(src, dst))


def remove(filepath: PathLike, backend_args: Args = None) -> None:
    """Remove a file.

    Raises:
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a folder.
    """
    get_file_backend(filepath, backend_args=backend_args).remove(filepath)


def rmtree(dir_path: PathLike, backend_args: Args = None) -> None:
    """Remove a folder and what is in it."""
    get_file_backend(dir_path, backend_args=backend_args).rmtree(dir_path)


def list_dir_or_file(
    dir_path: PathLike,
    list_dir: bool = True,
    list_file: bool = True,
    suffix: str | tuple[str, ...] | None = None,
    recursive: bool = False,
    backend_args: Args = None,
) -> Iterator[str]:
    """What is in a folder, as paths relative to it; files that begin with a dot are left out.

    Args:
        dir_path: The folder.
        list_dir: Name folders.
        list_file: Name files.
        suffix: Only files that end so, or in one of several ways; goes with ``list_dir=False``.
        recursive: Look into the folders below as well.
        backend_args: Options of the storage.

    Raises:
        TypeError: `suffix` with folders, or of another type.
    """
    backend = get_file_backend(dir_path, backend_args=backend_args)
    names: Iterator[str] = backend.list_dir_or_file(dir_path, list_dir, list_file, suffix, recursive)
    return names


def generate_presigned_url(
    url: str, client_method: str = "get_object", expires_in: int = 3600, backend_args: Args = None
) -> str:
    """A URL that opens a file without keys for some seconds, where the storage can make one."""
    backend = get_file_backend(url, backend_args=backend_args)
    signed: str = backend.generate_presigned_url(url, client_method, expires_in)
    return signed
