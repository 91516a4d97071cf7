"""Writing a checkpoint so that a crash at any moment leaves a good one behind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from toolkit.fileio import either_args, is_url, storage_options
from toolkit.fileio.checkpoint import checksum_path, file_digest
from toolkit.runner.checkpoint.storable import storable
from toolkit.utils.errors import CheckpointError

LATEST_NAME = "last_checkpoint"


def save_checkpoint(
    checkpoint: Mapping[str, Any],
    filename: str | os.PathLike[str],
    file_client_args: Mapping[str, Any] | None = None,
    backend_args: Mapping[str, Any] | None = None,
) -> str:
    """Write a checkpoint: to a temporary file, flushed to the disk, then renamed; its checksum beside it.

    Args:
        checkpoint: Plain containers and tensors; see `storable`.
        filename: A local path or a URL that fsspec can write to. Its folder is made.
        file_client_args: The former name of `backend_args`.
        backend_args: Options for the file system of a URL.

    Returns:
        The SHA-256 of the file.

    Raises:
        CheckpointError: It holds something that can't be stored, or can't be written.
    """
    backend_args = either_args(file_client_args, backend_args)
    content = storable(checkpoint)
    name = os.fspath(filename)
    try:
        if is_url(name):
            return _write_remote(content, name, backend_args)
        return _write_local(content, Path(name))
    except OSError as error:
        raise CheckpointError(
            f"the checkpoint {name!r} can't be written: {error.strerror or error}"
        ) from error


def _write_remote(content: Any, url: str, backend_args: Mapping[str, Any] | None) -> str:
    import fsspec

    with fsspec.open(url, "wb", **storage_options(backend_args)) as file:
        hashing = _HashingWriter(file)
        torch.save(content, cast(BinaryIO, hashing))
    return hashing.digest


def _write_local(content: Any, path: Path) -> str:
    return write_whole(path, lambda file: torch.save(content, file))


def write_whole(path: Path, fill: Callable[[BinaryIO], Any]) -> str:
    """Write a file whole or not at all, with its checksum beside it.

    Args:
        path: The file; its folder is made.
        fill: Writes the content.

    Returns:
        The SHA-256 of the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            hashing = _HashingWriter(file)
            fill(cast(BinaryIO, hashing))
            _flush(file)
        _replace(temporary, path, hashing.digest)
    finally:
        temporary.unlink(missing_ok=True)
    return hashing.digest


def _replace(temporary: Path, path: Path, digest: str) -> None:
    """Put the new file in place of an old one of that name, if there is one.

    Two files can't change in one instant. So the checksum of both stands there until the new one is in place.
    """
    lines = [_checksum_line(digest, path)]
    if path.is_file():
        write_text(checksum_path(path), "".join([*lines, _checksum_line(file_digest(path), path)]))
    else:
        write_text(checksum_path(path), lines[0])
    os.replace(temporary, path)
    _flush_folder(path.parent)
    write_text(checksum_path(path), lines[0])


def _checksum_line(digest: str, path: Path) -> str:
    return f"{digest}  {path.name}\n"  # the form of `sha256sum`


def mark_latest(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
    """Name a checkpoint as the newest, in the file ``last_checkpoint`` of a folder."""
    name = os.fspath(path)
    write_text(Path(folder) / LATEST_NAME, name if is_url(name) else os.path.abspath(name))


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(text.encode())
        _flush(file)
    os.replace(temporary, path)
    _flush_folder(path.parent)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename last; systems that can't flush a folder do without."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


class _HashingWriter:
    """A file that computes the checksum of what is written to it, so that it need not be read again."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write and count in."""
        self._hash.update(data)
        self._file.write(data)
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    @property
    def digest(self) -> str:
        """The SHA-256 of all that was written."""
        return self._hash.hexdigest()
