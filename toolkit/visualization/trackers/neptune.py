"""Neptune."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from toolkit.registry import VISBACKENDS
from toolkit.visualization.canvas import Image
from toolkit.visualization.trackers.base import TrackerVisBackend
from toolkit.visualization.trackers.secrets import published_text


@VISBACKENDS.register_module()
class NeptuneVisBackend(TrackerVisBackend):
    """Numbers, pictures and the config of a run on Neptune.

    Args:
        save_dir: Not used.
        init_kwargs: Arguments of `neptune.init_run`. Without any, the run is kept in local files
            (``mode='offline'``). The token belongs into the environment, as `NEPTUNE_API_TOKEN`.

    Raises:
        MissingPackageError: neptune is not installed.
    """

    package = "neptune"

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._init_kwargs = {"mode": "offline"} if init_kwargs is None else dict(init_kwargs)

    def _open(self) -> Any:
        import neptune

        return neptune.init_run(**self._init_kwargs)

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config as text, with what is secret hidden."""
        from neptune.types import File

        self.experiment["config"].upload(File.from_content(published_text(config)))

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture in the series `images`."""
        from neptune.types import File

        unit = image.astype(np.float32) / 255
        self.experiment["images"].append(File.as_image(unit), name=name, step=step)

    def _track(self, numbers: Mapping[str, int | float], step: int) -> None:
        for name, value in numbers.items():
            if math.isfinite(value):  # Neptune refuses the rest
                self.experiment[name].append(value, step=step)

    def _close(self) -> None:
        self.experiment.stop()
