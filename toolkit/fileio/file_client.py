"""MMCV's and MMEngine's former way to a storage."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from toolkit.fileio.backends import PathLike, get_file_backend, register_backend


class FileClient:
    """A storage by its name; `get_file_backend` is the present way. It has the methods of its backend.

    Args:
        backend: The name of a backend; ``disk`` by default.
        prefix: The prefix of URLs that leads to it instead.
        **kwargs: The options of the storage.
    """

    def __init__(self, backend: str | None = None, prefix: str | None = None, **kwargs: Any) -> None:
        if prefix is not None and backend is None:
            self.client = get_file_backend(f"{prefix}://", backend_args=kwargs)
        else:
            self.client = get_file_backend(backend_args={"backend": backend or "disk", **kwargs})

    @classmethod
    def infer_client(
        cls, file_client_args: Mapping[str, Any] | None = None, uri: PathLike | None = None
    ) -> FileClient:
        """The client of `file_client_args`, or without them the one that `uri` needs."""
        made = cls(**(file_client_args or {}))
        if file_client_args is None:
            made.client = get_file_backend(uri)
        return made

    @staticmethod
    def parse_uri_prefix(uri: PathLike) -> str | None:
        """``s3`` of ``s3://bucket/key``, and of ``cluster:s3://bucket/key``; None of a local path."""
        prefix, found, _ = os.fspath(uri).partition("://")
        return prefix.rpartition(":")[2] if found else None

    @classmethod
    def register_backend(
        cls,
        name: str,
        backend: type | None = None,
        force: bool = False,
        prefixes: str | Sequence[str] | None = None,
    ) -> Callable[[type], type] | None:
        """Register a class of storage; see `toolkit.fileio.register_backend`."""
        return register_backend(name, backend, force, prefixes)

    def __getattr__(self, name: str) -> Any:
        if name == "client":  # not set yet: copying and unpickling look here first
            raise AttributeError(name)
        return getattr(self.client, name)
