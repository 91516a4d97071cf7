"""Reading a checkpoint file: safe by default, checked against its checksum, with errors that help."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.fileio.checkpoint.legacy import plain, stand_ins
from toolkit.utils.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

CHECKSUM_SUFFIX = ".sha256"
META_KEY = "toolkit_meta"  # in the header of a safetensors file: a checkpoint's `meta` as JSON
_CHUNK = 1 << 20
_REFUSED = re.compile(r"GLOBAL (\S+)|unsupported GLOBAL (\S+)")


def read_file(path: Path, map_location: Any = "cpu", *, trusted: bool = False) -> Any:
    """Read a local file: a dict of tensors and plain containers, unless `trusted`.

    Raises:
        CheckpointError: It is damaged, or holds objects that only running its code could make.
    """
    check_digest(path)
    try:
        return _load(path, map_location, trusted)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from error
    except (
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        ModuleNotFoundError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} can't be read as a checkpoint, it is damaged or no such file: {reason}"
        ) from error


def _load(path: Path, map_location: Any, trusted: bool) -> Any:
    if path.suffix == ".safetensors":
        return _load_safetensors(path, str(map_location or "cpu"))
    import torch

    if trusted:
        return torch.load(path, map_location=map_location, weights_only=False)
    with torch.serialization.safe_globals(stand_ins()):
        return plain(torch.load(path, map_location=map_location, weights_only=True))


def _load_safetensors(path: Path, device: str) -> dict[str, Any]:
    """The tensors by name; or of a file with our meta in its header, `state_dict` and `meta`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt", device=device) as file:
            header = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no dict
    except SafetensorError as error:
        raise RuntimeError(str(error)) from error
    if META_KEY not in header:
        return weights
    return {"meta": json.loads(header[META_KEY]), "state_dict": weights}


def _refused(path: Path, error: pickle.UnpicklingError) -> CheckpointError:
    found = _REFUSED.search(str(error))
    if found is None:
        return CheckpointError(
            f"{path} can't be read as a checkpoint: it is damaged, or no checkpoint of torch"
        )
    name = found.group(1) or found.group(2)
    return CheckpointError(
        f"{path} holds a {name}, which only running code named in the file could make, so it was not read. "
        "If you trust who wrote it, use --trust-checkpoint (in Python: trusted=True)"
    )


def file_digest(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def checksum_path(path: str | os.PathLike[str]) -> Path:
    """Where the checksum of a checkpoint stands: beside it, under its name with ``.sha256``."""
    return Path(f"{os.fspath(path)}{CHECKSUM_SUFFIX}")


def check_digest(path: Path) -> None:
    """Compare a file with the checksum beside it, if there is one.

    While a file is replaced, the checksums of the old and of the new one stand there; either will do.

    Raises:
        CheckpointError: None of them fits: the file is damaged.
    """
    beside = checksum_path(path)
    if not beside.is_file():
        return
    known = {line.split()[0] for line in beside.read_text().splitlines() if line.strip()}
    if known and file_digest(path) not in known:
        raise CheckpointError(
            f"{path} is damaged: it doesn't fit the checksum in {beside.name}. Use another checkpoint; "
            "if you have changed the file on purpose, remove the checksum"
        )


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict in a checkpoint: under ``state_dict`` or ``model``, or the checkpoint itself.

    Raises:
        CheckpointError: There is none.
    """
    import torch

    found = checkpoint.get("state_dict", checkpoint.get("model", checkpoint))
    if isinstance(found, Mapping):
        weights = {str(key): value for key, value in found.items() if isinstance(value, torch.Tensor)}
        if weights or not found:
            return weights
    raise CheckpointError(
        f"the checkpoint holds no weights: it has the keys {', '.join(map(str, list(checkpoint)[:8]))}, "
        "and neither 'state_dict' nor 'model' is a dict of tensors"
    )


def require_file(path: str | os.PathLike[str]) -> Path:
    """The path of an existing local file.

    Raises:
        CheckpointError: There is none; the message lists what is near it.
    """
    found = Path(os.path.expanduser(os.fspath(path)))
    if found.is_file():
        return found
    folder = found if found.is_dir() else found.parent
    if not folder.is_dir():
        raise CheckpointError(
            f"there is no checkpoint {os.fspath(path)!r}: the folder {str(folder)!r} doesn't exist"
        )
    raise CheckpointError(f"there is no checkpoint {os.fspath(path)!r}{_near(folder, found.name)}")


def _near(folder: Path, name: str) -> str:
    from toolkit.utils.suggest import did_you_mean

    others = sorted(
        (
            item.name
            for item in folder.iterdir()
            if item.suffix in (".pth", ".pt", ".safetensors", ".bin", ".ckpt")
        ),
        key=lambda other: (folder / other).stat().st_mtime,
        reverse=True,
    )
    if not others:
        return f"; {str(folder)!r} holds no checkpoint"
    guess = did_you_mean(name, others)
    return f"{guess or ';'} {str(folder)!r} holds {', '.join(others[:8])}{', …' if len(others) > 8 else ''}"
