"""ClearML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.registry import VISBACKENDS
from toolkit.visualization.canvas import Image
from toolkit.visualization.trackers.base import TrackerVisBackend
from toolkit.visualization.trackers.secrets import published


@VISBACKENDS.register_module()
class ClearMLVisBackend(TrackerVisBackend):
    """Numbers, pictures, the config and files of a run as a ClearML task.

    Args:
        save_dir: Not used.
        init_kwargs: Arguments of `clearml.Task.init`.
        artifact_suffix: Which files of the work directory are kept when the backend closes, by how their
            names end.

    Raises:
        MissingPackageError: clearml is not installed.
    """

    package = "clearml"

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
        artifact_suffix: str | Sequence[str] = (".py", ".pth"),
    ) -> None:
        super().__init__(save_dir)
        self._init_kwargs = dict(init_kwargs or {})
        self._artifact_suffix = artifact_suffix
        self._task: Any = None

    def _open(self) -> Any:
        import clearml

        self._task = clearml.Task.init(**self._init_kwargs)
        return clearml

    def _logger(self) -> Any:
        assert self.experiment is not None  # begins the task
        return self._task.get_logger()

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config, with what is secret hidden."""
        self._remember(config)
        assert self.experiment is not None
        self._task.connect_configuration(published(config))

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture."""
        self._logger().report_image(title=name, series=name, iteration=step, image=image)

    def _track(self, numbers: Mapping[str, int | float], step: int) -> None:
        logger = self._logger()
        for name, value in numbers.items():
            logger.report_scalar(title=name, series=name, value=value, iteration=step)

    def _close(self) -> None:
        for path in self._artifacts(self._work_dir, self._artifact_suffix, recursive=False):
            self._task.upload_artifact(path.name, str(path))
        self._task.close()
