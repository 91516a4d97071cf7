"""What a config file sets itself."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.config.config_dict import TracedDict
from toolkit.config.lazy import LazyObject

BASE_KEY = "_base_"


@dataclass
class OwnValues:
    """What a file sets itself, before it is merged into its bases."""

    names: TracedDict
    imported: dict[str, LazyObject]
    assigned: set[str]
