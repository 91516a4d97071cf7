"""Where checkpoints come from: local files, URLs, and names of published models."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlparse

from toolkit.fileio.checkpoint.published import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from toolkit.fileio.checkpoint.reading import read_file, require_file, weights_of
from toolkit.fileio.files import is_url, read_bytes
from toolkit.utils.errors import CheckpointError
from toolkit.utils.suggest import did_you_mean

logger = logging.getLogger(__name__)

Loader = Callable[..., Any]

_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})$")


class CheckpointLoader:
    """Loads a checkpoint by the scheme of its name; `register_scheme` adds schemes of your own."""

    _schemes: dict[str, Loader] = {}

    @classmethod
    def register_scheme(
        cls, prefixes: str | Iterable[str], loader: Loader | None = None, force: bool = False
    ) -> Any:
        """Register ``loader(filename, map_location)`` for names that start with one of `prefixes`; also a
        decorator.

        Raises:
            KeyError: A prefix is registered already, and `force` is False.
        """

        def register(function: Loader) -> Loader:
            for prefix in [prefixes] if isinstance(prefixes, str) else prefixes:
                if prefix in cls._schemes and not force:
                    raise KeyError(f"{prefix!r} is registered already; use force=True to replace it")
                cls._schemes[prefix] = function
            return function

        return register if loader is None else register(loader)

    @classmethod
    def load_checkpoint(
        cls, filename: str, map_location: Any = None, logger: Any = "current", *, trusted: bool = False
    ) -> Any:
        """What the checkpoint called `filename` holds. `logger` is taken for compatibility only."""
        for prefix in sorted(cls._schemes, key=len, reverse=True):
            if filename.startswith(prefix):
                return cls._schemes[prefix](filename, map_location)
        content = read_file(local_path(filename), map_location, trusted=trusted)
        return _of_backbone(content) if filename.startswith("mmcls://") else content


def read_checkpoint(
    source: str | os.PathLike[str], map_location: Any = "cpu", *, trusted: bool = False
) -> dict[str, Any]:
    """Read a checkpoint, without running code from it.

    Args:
        source: A path; a URL (downloaded once, checked against the hash in its name); ``torchvision://NAME``,
            ``open-mmlab://NAME``, ``mmcls://NAME`` (the backbone of a classifier), or another scheme
            registered with `CheckpointLoader`.
        map_location: As for `torch.load`.
        trusted: Unpickle whatever the file holds, which may run code of whoever wrote it.

    Returns:
        What the file holds: a dict, either a state dict or one that has it under ``state_dict``. Objects of
        OpenMMLab's classes are turned into plain containers.

    Raises:
        CheckpointError: There is none, or it is damaged, or holds objects that only running its code could
            make.
    """
    loaded = CheckpointLoader.load_checkpoint(os.fspath(source), map_location, trusted=trusted)
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{source} holds a {type(loaded).__name__}, not a dict of weights")
    return loaded


def local_path(source: str) -> Path:
    """The local file of a checkpoint's name, downloaded if need be.

    Raises:
        CheckpointError: There is none, or it can't be had.
    """
    scheme, _, name = source.partition("://")
    if scheme == "torchvision" or source.startswith("modelzoo://"):
        source = _torchvision_url(name)
    elif scheme in ("open-mmlab", "openmmlab", "mmdet"):
        source = _openmmlab_url(source, name)
    elif scheme == "mmcls":
        source = _published(source, name, get_mmcls_models())
    if not is_url(source):
        return require_file(source)
    return _downloaded(source)


def _torchvision_url(name: str) -> str:
    known = get_torchvision_models()
    if name.lower() in known:
        return known[name.lower()]
    model, _, version = name.partition(".")
    versions = [key.partition(".")[2].upper() for key in known if key.startswith(f"{model}.")]
    if versions:
        raise CheckpointError(
            f"torchvision has no weights {version!r} of {model}{did_you_mean(version, versions)}"
        )
    models = [key for key in known if "." not in key]
    raise CheckpointError(f"torchvision publishes no weights of {model!r}{did_you_mean(model, models)}")


def _openmmlab_url(source: str, name: str) -> str:
    known = get_external_models()
    present = get_deprecated_model_names().get(name)
    if present is not None:
        logger.warning("%s is called open-mmlab://%s now", source, present)
        return known[present]
    return _published(source, name, known)


def _published(source: str, name: str, known: Mapping[str, str]) -> str:
    if name not in known:
        raise CheckpointError(f"no published weights are called {source!r}{did_you_mean(name, known)}")
    return known[name]


def _of_backbone(checkpoint: Any) -> Any:
    """The weights of a classifier's backbone, which is what ``mmcls://NAME`` stands for."""
    weights = weights_of(checkpoint)
    prefix = "backbone."
    return {
        "state_dict": {
            key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)
        }
    }


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep the other processes of this machine from downloading the same file at the same time."""
    try:
        import fcntl
    except ImportError:  # Windows: each downloads for itself, and the last one to rename its file wins
        yield
        return
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _downloaded(url: str) -> Path:
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if not path.is_file():  # another process may have had it by now
                logger.info("downloading %s to %s", url, path)
                _fetch(url, path)
    except (URLError, OSError, RuntimeError, ImportError, ValueError) as error:
        raise CheckpointError(
            f"{url} couldn't be downloaded: {error}. Without a network, put the file at {path}, give a "
            "local path, or leave the pretrained weights out (init_cfg=None, load_from=None)"
        ) from error
    return path


def _fetch(url: str, path: Path) -> None:
    import torch

    if url.startswith(("http://", "https://")):
        found = _HASH_IN_NAME.search(path.stem)
        torch.hub.download_url_to_file(url, str(path), found.group(1) if found else None, progress=False)
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    partial.write_bytes(read_bytes(url))
    partial.replace(path)
