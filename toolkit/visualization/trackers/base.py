"""What the backends of tracking services have in common."""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from toolkit.config import Config
from toolkit.utils import BuildError
from toolkit.visualization.backends import BaseVisBackend, plain_value
from toolkit.visualization.trackers.secrets import holds_any, secrets_in

_logger = logging.getLogger(__name__)


class MissingPackageError(BuildError, ImportError):
    """A backend was asked for whose package is not installed."""


class TrackerVisBackend(BaseVisBackend):
    """Base of the backends that write through a service's own package.

    The package is imported, and the service spoken to, when something is first written. That it is there is
    checked at once.

    A subclass says what the package is called, and has `_open`, `_track` and `_close`.

    Args:
        save_dir: Folder of the service's local files; some have none.

    Raises:
        MissingPackageError: The package is not installed.
    """

    package: ClassVar[str]

    def __init__(self, save_dir: str | os.PathLike[str] | None = None) -> None:
        super().__init__("" if save_dir is None else save_dir)
        self._opened: Any = None
        self._work_dir: str | None = None
        self._secrets: set[str] = set()
        if find_spec(self.package) is None:
            raise MissingPackageError(
                f"{type(self).__name__} needs the package {self.package}, which is not installed: "
                f"pip install {self.package}, or take it out of visualizer.vis_backends"
            )

    @abstractmethod
    def _open(self) -> Any:
        """Begins, or goes on, a run of the service; gives what is written with."""

    @abstractmethod
    def _track(self, numbers: Mapping[str, int | float], step: int) -> None:
        """Keeps numbers at an iteration."""

    @abstractmethod
    def _close(self) -> None:
        """Ends what `_open` began."""

    @property
    def experiment(self) -> Any:
        """What the service's package offers to write with; the first use begins the run."""
        if self._opened is None:
            if self.save_dir:
                Path(self.save_dir).mkdir(parents=True, exist_ok=True)
            self._opened = self._open()
        return self._opened

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Keeps a number; anything else is left out."""
        self.add_scalars({name: value}, step)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Keeps the numbers of one step; `file_path` is for local files. What is no number is left out."""
        step = int(scalar_dict.get("step", step))
        values = {name: plain_value(value) for name, value in scalar_dict.items() if name != "step"}
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        if numbers:
            self._track(numbers, step)

    def close(self) -> None:
        """Ends the run of the service. What is written later goes on in it where the service can."""
        if self._opened is not None:
            self._close()
            self._opened = None

    # For those that keep files too.

    def _remember(self, config: Any) -> None:
        """Notes where the run's files are, and which of the config's values must not be in what is kept."""
        if isinstance(config, (Config, Mapping)):
            self._work_dir = config.get("work_dir")
            self._secrets = set(secrets_in(config))

    def _artifacts(self, folder: str | None, suffix: str | Sequence[str], recursive: bool) -> list[Path]:
        """Files of a folder by how their names end, but for the service's own and those with secrets."""
        if not folder or not Path(folder).is_dir():
            return []
        endings = (suffix,) if isinstance(suffix, str) else tuple(suffix)
        kept = []
        for path in sorted(Path(folder).rglob("*") if recursive else Path(folder).iterdir()):
            if not path.is_file() or not path.name.endswith(endings) or self._is_own(path):
                continue
            if holds_any(path, self._secrets):
                _logger.warning(
                    "%s: %s is not kept, since it holds a secret of the config. Write secrets as "
                    "'{{ $NAME }}' in configs: then they stay out of all files",
                    type(self).__name__,
                    path,
                )
                continue
            kept.append(path)
        return kept

    def _is_own(self, path: Path) -> bool:
        """Whether a file is one that the service itself keeps on this machine."""
        return False
