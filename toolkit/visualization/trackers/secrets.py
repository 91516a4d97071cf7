"""A config as it may leave the machine: without tokens, keys and passwords.

Two things are hidden: values that came from the environment, which are written as the reference that they
came from; and values whose key says that they are secret, as well as names and passwords in URLs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.config import Config
from toolkit.config.secrets import ENV_TYPES

HIDDEN = "***"

_SECRET_KEY = re.compile(
    r"(^|_)(api_?key|access_key(_id)?|secret(_?(access_?)?key)?|private_key|password|passwd|pwd|credentials?"
    r"|(api|auth|access|bearer|refresh|secret|hf|github|wandb|neptune|clearml)_?token)$|^token$",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def published(value: Any, key: str = "") -> Any:
    """A config, or a part of it, as builtin dicts, lists and plain values, with what is secret hidden.

    Args:
        value: The config or the part.
        key: The key that it stands under.
    """
    if isinstance(value, ENV_TYPES):
        return value.template or value.source
    if value is not None and not isinstance(value, bool) and _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(value, Config):
        return {name: published(item, str(name)) for name, item in value.to_dict().items()}
    if isinstance(value, Mapping):
        return {name: published(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [published(item) for item in value]
    if isinstance(value, str):
        return _LOGIN.sub(HIDDEN, value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def published_text(config: Any) -> str:
    """A config as text, with what is secret hidden."""
    if isinstance(config, (Config, Mapping)):
        return Config(published(config)).pretty_text
    return _LOGIN.sub(HIDDEN, str(config))


def secrets_in(value: Any, key: str = "") -> Iterator[str]:
    """The texts that `published` hides because of their keys, or that log in to a URL."""
    if isinstance(value, Config):
        value = value.to_dict()
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from secrets_in(item, str(name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item, key)
    elif isinstance(value, str) and value:
        if _SECRET_KEY.search(key):
            yield str(value)
        yield from _LOGIN.findall(value)


def holds_any(path: Path, secrets: set[str]) -> bool:
    """Whether a file holds one of the texts."""
    if not secrets:
        return False
    content = path.read_bytes()
    return any(secret.encode() in content for secret in secrets)
