"""What an import in a config stands for: a dotted name that nothing has imported yet."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from toolkit.utils.errors import ConfigError


class LazyObject:
    """A dotted reference such as ``torch.optim.SGD``, written in a config as an import.

    Reading a config imports nothing. Attributes of a reference are references again; `build` does the import.
    A reference equals what it stands for.

    Args:
        module: the module, or the whole dotted name where `imported` is not given.
        imported: the name imported from `module`, if any.
        location: the file and line of the import.

    Attributes:
        dotted: the dotted name.
        location: the file and line of the import, or None.
    """

    __slots__ = ("_dotted", "_location")

    def __init__(self, module: str, imported: str | None = None, location: str | None = None) -> None:
        self._dotted = module if imported is None else f"{module}.{imported}"
        self._location = location

    @property
    def dotted(self) -> str:
        """The dotted name, such as ``torch.optim.SGD``."""
        return self._dotted

    @property
    def location(self) -> str | None:
        """The file and line of the import, or None."""
        return self._location

    def __getattr__(self, name: str) -> LazyObject:
        if name.startswith("__"):  # protocols (copy, pickle, iteration) must not see dotted names
            raise AttributeError(name)
        return LazyObject(self._dotted, name, self._location)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        place = f" ({self._location})" if self._location else ""
        raise ConfigError(
            f"{self._dotted}{place} is a reference, not yet imported: it can't be called; build() imports it"
        )

    def build(self) -> Any:
        """Import the module and return what the dotted name stands for.

        Raises:
            ConfigError: if no part of it can be imported, or an attribute is missing.
        """
        parts = self._dotted.split(".")
        for count in range(len(parts), 0, -1):
            module = ".".join(parts[:count])
            try:
                found: Any = importlib.import_module(module)
            except ModuleNotFoundError as error:
                # Only a missing part of the name itself means "look for an attribute instead".
                if error.name is None or not (module + ".").startswith(error.name + "."):
                    raise
                continue
            for name in parts[count:]:
                if not hasattr(found, name):
                    raise ConfigError(f"{self}: {'.'.join(parts[:count])} has no attribute {name!r}")
                found = getattr(found, name)
            return found
        raise ConfigError(f"{self}: no module named {parts[0]!r}")

    def __str__(self) -> str:
        return self._dotted

    def __repr__(self) -> str:
        return f"LazyObject({self._dotted!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LazyObject):
            return other._dotted == self._dotted
        return other is not None and other is self._loaded()

    def _loaded(self) -> Any:
        """What the name stands for if its module has been imported by somebody, else None. Nothing is run."""
        module, _, name = self._dotted.rpartition(".")
        owner = sys.modules.get(module)
        return sys.modules.get(self._dotted) or (None if owner is None else vars(owner).get(name))

    def __hash__(self) -> int:
        return hash(("LazyObject", self._dotted))

    def __reduce__(self) -> tuple[Any, ...]:
        return LazyObject, (self._dotted, None, self._location)
