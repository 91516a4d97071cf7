"""A model of a config made small in its surroundings: no downloads, small pictures, the same layers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any


def without_downloads(cfg: Any) -> Any:
    """A copy of a config as plain dicts and lists, without what would fetch trained weights."""
    if isinstance(cfg, Mapping):
        kept = {str(key): value for key, value in cfg.items() if not _fetches(key, value)}
        return {key: without_downloads(value) for key, value in kept.items()}
    if isinstance(cfg, list | tuple):
        return type(cfg)(without_downloads(item) for item in cfg)
    return cfg


def _fetches(key: Any, value: Any) -> bool:
    if key == "pretrained":
        return bool(value)
    # A teacher's checkpoint, where the config of another detector is named beside it.
    if key in ("teacher_ckpt", "checkpoint"):
        return isinstance(value, str)
    # PVT's have no type.
    untyped = isinstance(value, Mapping) and "checkpoint" in value
    return key == "init_cfg" and (untyped or "Pretrained" in str(value))


def dicts_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """All dicts in a config, the outermost first."""
    if isinstance(value, Mapping):
        yield value
    children = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        for item in children:
            yield from dicts_in(item)


def type_name(cfg: Mapping[str, Any]) -> str:
    """The last part of a dict's type, or an empty text."""
    return str(cfg.get("type", "")).rpartition(".")[2]


def class_counts(model: Mapping[str, Any]) -> list[int]:
    """The numbers of classes that the parts of a model are made for."""
    names = ("num_classes", "num_things_classes")
    counts = [part[name] for part in dicts_in(model) for name in names if isinstance(part.get(name), int)]
    return [count for count in counts if count > 0] or [1]


def shrink_batches(model: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Give the batch augmentations of a model's preprocessor small sizes, in place."""
    for part in dicts_in(model.get("data_preprocessor")):
        if type_name(part) == "BatchFixedSizePad" and isinstance(part, dict):
            part["size"] = size


def digest(*values: Any) -> str:
    """A short text that is the same for equal configs."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]
