"""MLflow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.registry import VISBACKENDS
from toolkit.utils import ConfigError, did_you_mean
from toolkit.visualization.canvas import Image
from toolkit.visualization.trackers.base import TrackerVisBackend
from toolkit.visualization.trackers.secrets import published, published_text

_STORE = "mlflow.db"
_ARTIFACTS = "mlartifacts"
_EXPERIMENT = "runs"


@VISBACKENDS.register_module()
class MLflowVisBackend(TrackerVisBackend):
    """Numbers, pictures, parameters and files of a run in MLflow.

    Args:
        save_dir: Folder of the local store.
        exp_name: The experiment, which is made if there is none; by default 'Default' where a
            `tracking_uri` is given, else 'runs'.
        run_name: Name of the run.
        tags: Tags of the run.
        params: Parameters of the run besides the config's.
        tracking_uri: Server or store. By default the SQLite file `mlflow.db` in `save_dir`, with pictures and
            files in `mlartifacts` beside it. (MMEngine's default is a store of files there, which MLflow no
            longer opens unless told to.)
        artifact_suffix: Which files of the work directory are kept when the backend closes, by how their
            names end.
        tracked_config_keys: Which top-level keys of the config become parameters; all by default.
        artifact_location: Where a new experiment keeps its files.

    Raises:
        MissingPackageError: mlflow is not installed.
    """

    package = "mlflow"

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        exp_name: str | None = None,
        run_name: str | None = None,
        tags: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        tracking_uri: str | None = None,
        artifact_suffix: str | Sequence[str] = (".json", ".log", ".py", "yaml"),
        tracked_config_keys: Sequence[str] | None = None,
        artifact_location: str | None = None,
    ) -> None:
        super().__init__(save_dir)
        # 'Default' is there in every store, and in one of SQLite its files land in the current folder.
        self._exp_name = exp_name or ("Default" if tracking_uri else _EXPERIMENT)
        self._run_name = run_name
        self._tags = dict(tags or {})
        self._params = dict(params or {})
        self._tracking_uri = tracking_uri
        self._artifact_suffix = artifact_suffix
        self._tracked_config_keys = tracked_config_keys
        self._artifact_location = artifact_location
        self._run_id: str | None = None

    def _open(self) -> Any:
        import mlflow

        folder = Path(self.save_dir).resolve()
        uri, location = self._tracking_uri, self._artifact_location
        if uri is None:
            uri = f"sqlite:///{folder / _STORE}"
            location = location or (folder / _ARTIFACTS).as_uri()
        mlflow.set_tracking_uri(uri)
        if mlflow.get_experiment_by_name(self._exp_name) is None:
            mlflow.create_experiment(self._exp_name, artifact_location=location)
        mlflow.set_experiment(self._exp_name)
        begun = mlflow.start_run(run_id=self._run_id, run_name=self._run_name)
        if self._run_id is None:
            mlflow.set_tags(self._tags)
            mlflow.log_params(self._params)
        self._run_id = begun.info.run_id
        return mlflow

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config as text and as parameters, with what is secret hidden.

        Raises:
            ConfigError: `tracked_config_keys` names a key that the config doesn't have.
        """
        self._remember(config)
        content = published(config)
        for key in self._tracked_config_keys or ():
            if key not in content:
                raise ConfigError(
                    f"tracked_config_keys of MLflowVisBackend: the config has no {key!r}"
                    f"{did_you_mean(key, list(content))}"
                )
        keys = content if self._tracked_config_keys is None else self._tracked_config_keys
        self.experiment.log_params(_flat({key: content[key] for key in keys}))
        self.experiment.log_text(published_text(config), "config.py")

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture as the artifact `NAME_STEP.png`."""
        self.experiment.log_image(image, f"{name}_{step}.png")

    def _track(self, numbers: Mapping[str, int | float], step: int) -> None:
        self.experiment.log_metrics(dict(numbers), step)

    def _close(self) -> None:
        for path in self._artifacts(self._work_dir, self._artifact_suffix, recursive=True):
            inside = path.parent.relative_to(str(self._work_dir)).as_posix()
            self.experiment.log_artifact(str(path), None if inside == "." else inside)
        self.experiment.end_run()

    def _is_own(self, path: Path) -> bool:
        return Path(self.save_dir, _ARTIFACTS) in path.parents or "mlruns" in path.parts


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Values by dotted key. A list without dicts is one value."""
    if isinstance(value, Mapping):
        items = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {key: value}
    found: dict[str, Any] = {}
    for name, item in items:
        found.update(_flat(item, f"{key}.{name}" if key else name))
    return found
