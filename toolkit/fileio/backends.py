"""Storage by one interface: local files, whatever fsspec knows by its URL, and backends of your own."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.fileio.files import is_url, join_path, storage_options
from toolkit.utils.errors import ConfigError
from toolkit.utils.suggest import did_you_mean

PathLike = str | os.PathLike[str]


class BaseStorageBackend(ABC):
    """What a storage has to offer at least: the bytes and the text of a file."""

    _allow_symlink = False

    @property
    def allow_symlink(self) -> bool:
        """Whether files can be links."""
        return self._allow_symlink

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @abstractmethod
    def get(self, filepath: Any) -> bytes:
        """The content of a file."""

    @abstractmethod
    def get_text(self, filepath: Any, encoding: str = "utf-8") -> str:
        """The content of a text file."""


class FsspecBackend(BaseStorageBackend):
    """Files behind URLs, such as ``s3://bucket/key`` and ``memory://x``, through `fsspec`.

    Args:
        **options: What the file system of the URL takes: keys, endpoints, timeouts.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def _at(self, path: PathLike) -> tuple[Any, str]:
        """The file system that holds a path, and the path's name in it."""
        import fsspec

        found: tuple[Any, str] = fsspec.core.url_to_fs(os.fspath(path), **self.options)
        return found

    def get(self, filepath: PathLike) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: There is no such file.
        """
        system, inner = self._at(filepath)
        content: bytes = system.cat_file(inner)
        return content

    def get_text(self, filepath: PathLike, encoding: str = "utf-8") -> str:
        """The content of a text file."""
        return self.get(filepath).decode(encoding)

    def put(self, obj: bytes, filepath: PathLike) -> None:
        """Write bytes to a file, replacing it; folders above it are made."""
        system, inner = self._at(filepath)
        system.makedirs(posixpath.dirname(inner) or ".", exist_ok=True)
        system.pipe_file(inner, obj)

    def put_text(self, obj: str, filepath: PathLike, encoding: str = "utf-8") -> None:
        """Write text to a file, replacing it; folders above it are made."""
        self.put(obj.encode(encoding), filepath)

    def exists(self, filepath: PathLike) -> bool:
        """Whether there is a file or a folder."""
        system, inner = self._at(filepath)
        return bool(system.exists(inner))

    def isdir(self, filepath: PathLike) -> bool:
        """Whether there is a folder."""
        system, inner = self._at(filepath)
        return bool(system.isdir(inner))

    def isfile(self, filepath: PathLike) -> bool:
        """Whether there is a file."""
        system, inner = self._at(filepath)
        return bool(system.isfile(inner))

    def join_path(self, filepath: PathLike, *filepaths: PathLike) -> str:
        """Join path parts; see `toolkit.fileio.join_path`."""
        return join_path(filepath, *filepaths)

    @contextmanager
    def get_local_path(self, filepath: PathLike) -> Iterator[str]:
        """A local copy of a file, which goes when the block ends."""
        handle, name = tempfile.mkstemp(suffix=os.path.splitext(os.fspath(filepath))[1])
        try:
            with open(handle, "wb") as file:
                file.write(self.get(filepath))
            yield name
        finally:
            os.remove(name)

    def copyfile(self, src: PathLike, dst: PathLike) -> str:
        """Copy a file within the storage, into `dst` where it is a folder; returns where it went."""
        target = self._target(src, dst)
        self.put(self.get(src), target)
        return target

    def copytree(self, src: PathLike, dst: PathLike) -> str:
        """Copy a folder within the storage; `dst` must not exist. Returns `dst`."""
        self._must_be_new(dst)
        for name in self.list_dir_or_file(src, list_dir=False, recursive=True, hidden=True):
            self.put(self.get(join_path(src, name)), join_path(dst, name))
        return os.fspath(dst)

    def copyfile_from_local(self, src: PathLike, dst: PathLike) -> str:
        """Copy a local file into the storage; returns where it went."""
        target = self._target(src, dst)
        self.put(Path(src).read_bytes(), target)
        return target

    def copytree_from_local(self, src: PathLike, dst: PathLike) -> str:
        """Copy a local folder into the storage; `dst` must not exist. Returns `dst`."""
        self._must_be_new(dst)
        for name in LocalBackend().list_dir_or_file(src, list_dir=False, recursive=True, hidden=True):
            self.put(Path(src, name).read_bytes(), join_path(dst, *Path(name).parts))
        return os.fspath(dst)

    def copyfile_to_local(self, src: PathLike, dst: PathLike) -> str:
        """Copy a file of the storage to a local path; returns where it went."""
        local = LocalBackend()
        target = local._target(src, dst)
        local.put(self.get(src), target)
        return target

    def copytree_to_local(self, src: PathLike, dst: PathLike) -> str:
        """Copy a folder of the storage to a local one; returns `dst`."""
        for name in self.list_dir_or_file(src, list_dir=False, recursive=True, hidden=True):
            self.copyfile_to_local(join_path(src, name), os.path.join(dst, *name.split("/")))
        return os.fspath(dst)

    def copy_if_symlink_fails(self, src: PathLike, dst: PathLike) -> bool:
        """Link `dst` to `src` where the storage has links, else copy; returns whether it is a link."""
        if not self.allow_symlink:
            self._copy_any(src, dst)
            return False
        try:
            os.symlink(src, dst)
        except OSError:
            self._copy_any(src, dst)
            return False
        return True

    def remove(self, filepath: PathLike) -> None:
        """Remove a file.

        Raises:
            FileNotFoundError: There is no such file.
            IsADirectoryError: It is a folder.
        """
        if self.isdir(filepath):
            raise IsADirectoryError(f"{os.fspath(filepath)!r} is a folder: rmtree removes it")
        if not self.exists(filepath):
            raise FileNotFoundError(f"there is no file {os.fspath(filepath)!r}")
        system, inner = self._at(filepath)
        system.rm_file(inner)

    def rmtree(self, dir_path: PathLike) -> None:
        """Remove a folder and what is in it."""
        system, inner = self._at(dir_path)
        system.rm(inner, recursive=True)

    def list_dir_or_file(
        self,
        dir_path: PathLike,
        list_dir: bool = True,
        list_file: bool = True,
        suffix: str | tuple[str, ...] | None = None,
        recursive: bool = False,
        *,
        hidden: bool = False,
    ) -> Iterator[str]:
        """What is in a folder, as paths relative to it, in the order of their names.

        Args:
            dir_path: The folder.
            list_dir: Name folders.
            list_file: Name files.
            suffix: Only files that end so, or in one of several ways; goes with ``list_dir=False``.
            recursive: Look into the folders below as well.
            hidden: Name files that begin with a dot, too.

        Raises:
            TypeError: `suffix` with folders, or of another type.
        """
        if list_dir and suffix is not None:
            raise TypeError("a suffix picks files: pass list_dir=False with it")
        if suffix is not None and not isinstance(suffix, (str, tuple)):
            raise TypeError(f"suffix is a str or a tuple of them, got a {type(suffix).__name__}")

        def wanted(base: str) -> bool:
            return (hidden or not base.startswith(".")) and (suffix is None or base.endswith(suffix))

        def walk(folder: PathLike, prefix: str) -> Iterator[str]:
            system, inner = self._at(folder)
            for entry in sorted(system.ls(inner, detail=True), key=lambda entry: str(entry["name"])):
                base = posixpath.basename(entry["name"].rstrip("/"))
                name = prefix + base
                if entry["type"] == "directory":
                    if list_dir:
                        yield name
                    if recursive:
                        yield from walk(join_path(folder, base), f"{name}/")
                elif list_file and wanted(base):
                    yield name

        return walk(dir_path, "")

    def generate_presigned_url(
        self, url: str, client_method: str = "get_object", expires_in: int = 3600
    ) -> str:
        """A URL that opens a file without keys for some seconds, where the storage can make one."""
        system, inner = self._at(url)
        signed: str = system.sign(inner, expiration=expires_in, client_method=client_method)
        return signed

    def _target(self, src: PathLike, dst: PathLike) -> str:
        inside = self.isdir(dst)
        return join_path(dst, os.path.basename(os.fspath(src))) if inside else os.fspath(dst)

    def _must_be_new(self, dst: PathLike) -> None:
        if self.exists(dst):
            raise FileExistsError(f"{os.fspath(dst)!r} exists; a folder is copied to a new place only")

    def _copy_any(self, src: PathLike, dst: PathLike) -> None:
        (self.copytree if self.isdir(src) else self.copyfile)(src, dst)


class LocalBackend(FsspecBackend):
    """Local files. Options are taken and not used, as there are none."""

    _allow_symlink = True

    def _at(self, path: PathLike) -> tuple[Any, str]:
        from fsspec.implementations.local import LocalFileSystem

        return LocalFileSystem(), os.path.abspath(path)

    @contextmanager
    def get_local_path(self, filepath: PathLike) -> Iterator[str]:
        """The path itself; nothing is copied."""
        yield os.fspath(filepath)

    def rmtree(self, dir_path: PathLike) -> None:
        """Remove a folder and what is in it; links in it go, not what they point to."""
        shutil.rmtree(dir_path)


class HTTPBackend(FsspecBackend):
    """Files behind ``http://`` and ``https://``."""


# By name, and by the prefix of a URL; `register_backend` adds to both.
backends: dict[str, type] = {"local": LocalBackend, "disk": LocalBackend, "http": HTTPBackend}
prefix_to_backends: dict[str, type] = {"http": HTTPBackend, "https": HTTPBackend}


def register_backend(
    name: str,
    backend: type | None = None,
    force: bool = False,
    prefixes: str | Sequence[str] | None = None,
) -> Callable[[type], type] | None:
    """Register a class of storage; used as a decorator, or called with `backend`.

    Args:
        name: What ``backend_args=dict(backend=NAME)`` calls it.
        backend: A subclass of `BaseStorageBackend`.
        force: Replace what has the name, or a prefix, already.
        prefixes: URLs that begin with one of these go to it: ``"s3"`` for ``s3://``.

    Raises:
        TypeError: `name` or `prefixes` are no strs, `backend` is no such class.
        ValueError: The name or a prefix is taken, and `force` is False.
    """
    if not isinstance(name, str):
        raise TypeError(f"a backend is named by a str, got {name!r}")
    wanted = [prefixes] if isinstance(prefixes, str) else list(prefixes or [])
    if not all(isinstance(prefix, str) for prefix in wanted):
        raise TypeError(f"prefixes are strs, got {prefixes!r}")

    def register(cls: type) -> type:
        if not (isinstance(cls, type) and issubclass(cls, BaseStorageBackend)):
            raise TypeError(f"a backend is a subclass of BaseStorageBackend, got {cls!r}")
        if not force and name in backends:
            raise ValueError(f"{name!r} is a backend already; use force=True to replace it")
        taken = [prefix for prefix in wanted if prefix in prefix_to_backends]
        if not force and taken:
            raise ValueError(f"{taken} have a backend already; use force=True to replace it")
        backends[name] = cls
        prefix_to_backends.update(dict.fromkeys(wanted, cls))
        return cls

    if backend is None:
        return register
    register(backend)
    return None


def get_file_backend(
    uri: PathLike | None = None,
    *,
    backend_args: Mapping[str, Any] | None = None,
    enable_singleton: bool = False,
) -> Any:
    """The storage that holds a path: the one named by `backend_args`, else by the path's prefix.

    Args:
        uri: A local path or a URL.
        backend_args: The options of the storage; ``backend`` is its name.
        enable_singleton: Taken because MMEngine's function takes it; fsspec shares connections itself.

    Raises:
        ConfigError: There is no backend of this name.
    """
    options = storage_options(backend_args)
    name = (backend_args or {}).get("backend")
    if name is not None:
        if name not in backends:
            raise ConfigError(
                f"there is no backend {name!r}{did_you_mean(str(name), backends)}; there are "
                f"{sorted(backends)}. Leave it out for what a URL says, such as s3://bucket/key."
            )
        return backends[name](**options)
    if uri is None or not is_url(uri):
        return LocalBackend()
    prefix = os.fspath(uri).split("://", 1)[0]
    return prefix_to_backends.get(prefix, FsspecBackend)(**options)
