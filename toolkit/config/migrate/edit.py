"""What the migration does to dicts: new keys know which old line they come from, and each step is noted."""

from __future__ import annotations

from typing import Any

from toolkit.config.config_dict import ConfigDict, make_dict, put
from toolkit.config.config_list import ConfigList
from toolkit.config.origin import Origin, origin_of

Values = dict[str, Any]
_UNKNOWN = Origin(label="migrated")


def origin_in(container: Any, key: Any) -> Origin:
    """Where a value was set."""
    return origin_of(container, key) or _UNKNOWN


def traced(value: Any, origin: Origin) -> Any:
    """`value` with its new dicts and lists made ones that give `origin`; those of the config keep theirs."""
    if type(value) is dict:
        items = {key: traced(item, origin) for key, item in value.items()}
        return make_dict(items, dict.fromkeys(items, origin))
    if type(value) is list:
        return ConfigList([traced(item, origin) for item in value], [origin] * len(value))
    return value


def change(container: Values, key: Any, value: Any, origin: Origin | None = None) -> None:
    """Set a value that comes from where `origin` says; without it, from where the value before it did."""
    origin = origin or origin_in(container, key)
    put(container, key, traced(value, origin), origin)


def rename(container: Values, old: str, new: str) -> bool:
    """Give the value under `old` another key, if there is one. Whether there was."""
    if old not in container:
        return False
    origin = origin_in(container, old)
    put(container, new, container.pop(old), origin)
    return True


class Steps:
    """What was done to a config, in order.

    Attributes:
        lines: a line each: the place in the file, the old form and the new one.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, origin: Origin | None, text: str) -> None:
        """Note one step; one that several places share is noted once."""
        line = f"{origin}: {text}" if origin is not None else text
        if line not in self.lines:
            self.lines.append(line)


class Draft:
    """A config on its way from the old schema to the new.

    Args:
        names: the merged top-level names; changed in place.
        steps: takes the notes.
    """

    def __init__(self, names: ConfigDict, steps: Steps) -> None:
        self.names = names
        self.steps = steps

    def take(self, key: str) -> tuple[Any, Origin]:
        """Remove a top-level key: its value (None where there is none) and its origin."""
        if key not in self.names:
            return None, _UNKNOWN
        origin = origin_in(self.names, key)
        return self.names.pop(key), origin

    @property
    def in_iterations(self) -> bool:
        """Whether the training is counted in iterations, once its loop is migrated."""
        return (self.names.get("train_cfg") or {}).get("type") == "IterBasedTrainLoop"

    def drop(self, key: str, why: str) -> None:
        """Remove a top-level key that means nothing any more."""
        if key in self.names:
            _, origin = self.take(key)
            self.steps.note(origin, f"{key} dropped: {why}")

    def set(self, key: str, value: Any, origin: Origin, said: str | None = None) -> None:
        """Set a top-level key, and note it as `said`."""
        put(self.names, key, traced(value, origin), origin)
        if said is not None:
            self.steps.note(origin, said)

    def group(self, key: str) -> ConfigDict:
        """The dict under a top-level key; made if missing."""
        if not isinstance(self.names.get(key), dict):
            put(self.names, key, ConfigDict(), _UNKNOWN)
        found: ConfigDict = dict.__getitem__(self.names, key)
        return found

    def set_in(self, group: str, key: str, value: Any, origin: Origin) -> None:
        """Set a key of the dict under a top-level key."""
        put(self.group(group), key, traced(value, origin), origin)
