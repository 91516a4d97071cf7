"""DVCLive."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.registry import VISBACKENDS
from toolkit.visualization.canvas import Image
from toolkit.visualization.trackers.base import TrackerVisBackend
from toolkit.visualization.trackers.secrets import published, secrets_in


@VISBACKENDS.register_module()
class DVCLiveVisBackend(TrackerVisBackend):
    """Numbers, pictures, parameters and files of a run as DVCLive writes them.

    Args:
        save_dir: Folder of all of them.
        artifact_suffix: Which files of `save_dir` are tracked when the backend closes, by how their names
            end.
        init_kwargs: Arguments of `dvclive.Live`. By default `dir` is `save_dir`, and `save_dvc_exp` and
            `cache_images` are on; outside of a Git repository the experiment can't be saved, and is not.

    Raises:
        MissingPackageError: dvclive is not installed.
    """

    package = "dvclive"

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        artifact_suffix: str | Sequence[str] = (".json", ".py", "yaml"),
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._artifact_suffix = artifact_suffix
        self._init_kwargs = dict(init_kwargs or {})
        self._reopened = False

    def _open(self) -> Any:
        from dvclive import Live

        in_git = any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents))
        defaults = {"dir": self.save_dir, "save_dvc_exp": in_git, "cache_images": in_git}
        live = Live(**{**defaults, "resume": self._reopened, **self._init_kwargs})
        self._reopened = True
        return live

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config as parameters, with what is secret hidden."""
        self._secrets = set(secrets_in(config))
        self.experiment.log_params(published(config))

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture as `NAME/STEP.png`, which DVC's tools show as a series."""
        self.experiment.log_image(f"{name}/{step}.png", image)

    def _track(self, numbers: Mapping[str, int | float], step: int) -> None:
        self.experiment.step = step
        for name, value in numbers.items():
            self.experiment.log_metric(name, value)

    def _close(self) -> None:
        for path in self._artifacts(self.save_dir, self._artifact_suffix, recursive=True):
            self.experiment.log_artifact(path, path.parent.relative_to(self.save_dir).as_posix())
        self.experiment.end()
