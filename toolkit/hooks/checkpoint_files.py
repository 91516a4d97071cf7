"""What is done to checkpoint files after they were written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from toolkit.fileio import is_url, storage_options
from toolkit.fileio.checkpoint import file_digest
from toolkit.utils import CheckpointError, did_you_mean


def remove_checkpoint(path: str | os.PathLike[str], backend_args: Mapping[str, Any] | None = None) -> None:
    """Removes a checkpoint and what lies beside it under its name: its checksum, and a strategy's folder.

    No error if it is gone.
    """
    if is_url(path):
        import fsspec

        system, inner = fsspec.core.url_to_fs(os.fspath(path), **storage_options(backend_args))
        for found in [inner, *system.glob(f"{inner}.*")]:
            if system.exists(found):
                system.rm(found)
        return
    file = Path(path)
    for found in [*file.parent.glob(f"{file.name}.*"), file]:
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)


def publish(path: str, keys: Sequence[str]) -> str:
    """Writes a copy of a checkpoint with some keys only, named by the start of its SHA-256.

    Args:
        path: The checkpoint.
        keys: Its entries to keep; `meta` is kept too.

    Returns:
        Path of the copy: `name-0123abcd.pth` beside `name.pth`. It is there whole or not at all.

    Raises:
        CheckpointError: One of the keys is not in it.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    for key in keys:
        if key not in checkpoint:
            raise CheckpointError(
                f"published_keys: {path} has no {key!r}{did_you_mean(key, checkpoint)}; "
                f"there are: {', '.join(checkpoint)}"
            )
    file = Path(path)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            torch.save({key: value for key, value in checkpoint.items() if key in {*keys, "meta"}}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        published = file.with_name(f"{file.stem}-{file_digest(temporary)[:8]}{file.suffix}")
        os.replace(temporary, published)
    finally:
        temporary.unlink(missing_ok=True)
    return str(published)
