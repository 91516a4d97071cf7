"""The config that a checkpoint carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from toolkit.config import Config
from toolkit.fileio.checkpoint import read_checkpoint
from toolkit.utils.errors import CheckpointError

# Where and from what that run was started says nothing about where the checkpoint is used.
_OF_THE_RUN = ("device", "launcher", "load_from", "resume", "strategy", "work_dir")


def config_of(
    checkpoint: str | Mapping[str, Any],
    *,
    overrides: Iterable[str] = (),
    extra: Mapping[str, Any] | None = None,
    trusted: bool = False,
) -> Config:
    """The config that a checkpoint was trained with.

    Args:
        checkpoint: A path, URL or name, or a checkpoint that has been read.
        overrides: ``KEY=VALUE`` texts.
        extra: Further overrides, already values; these win.
        trusted: Unpickle whatever the file holds.

    Raises:
        CheckpointError: It can't be read, or carries no config.
    """
    from toolkit.config import parse_overrides

    content = read_checkpoint(checkpoint, trusted=trusted) if isinstance(checkpoint, str) else checkpoint
    meta = content.get("meta") or {}
    text = meta.get("cfg") or meta.get("config")
    if not isinstance(text, str) or not text.strip():
        name = f"{checkpoint} " if isinstance(checkpoint, str) else "the checkpoint "
        raise CheckpointError(f"{name}carries no config; name the config file that it was trained with")
    cfg = Config.fromstring(text, ".py")
    for name in _OF_THE_RUN:
        cfg.pop(name, None)
    cfg.merge_from_dict({**parse_overrides(list(overrides)), **(extra or {})})
    return cfg
