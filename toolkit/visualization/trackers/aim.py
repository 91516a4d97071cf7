"""Aim."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from toolkit.registry import VISBACKENDS
from toolkit.visualization.canvas import Image
from toolkit.visualization.trackers.base import TrackerVisBackend
from toolkit.visualization.trackers.secrets import published


@VISBACKENDS.register_module()
class AimVisBackend(TrackerVisBackend):
    """Numbers, pictures and the config of a run in Aim.

    Args:
        save_dir: Its last two folders name the experiment, if `init_kwargs` doesn't; without it the time
            does.
        init_kwargs: Arguments of `aim.Run`.

    Raises:
        MissingPackageError: aim is not installed.
    """

    package = "aim"

    def __init__(
        self,
        save_dir: str | os.PathLike[str] | None = None,
        init_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        named = "_".join(Path(self.save_dir).parts[-2:]) or datetime.now().strftime("%Y%m%d_%H%M%S")
        self._init_kwargs = {"experiment": named, **(init_kwargs or {})}

    def _open(self) -> Any:
        from aim import Run

        run = Run(**self._init_kwargs)
        self._init_kwargs["run_hash"] = run.hash  # after `close`, the same run goes on
        return run

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config, with what is secret hidden."""
        self.experiment["hparams"] = published(config)

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture."""
        from aim import Image as AimImage

        self.experiment.track(name=name, value=AimImage(image), step=step)

    def _track(self, numbers: Mapping[str, int | float], step: int) -> None:
        for name, value in numbers.items():
            self.experiment.track(name=name, value=value, step=step)

    def _close(self) -> None:
        self.experiment.close()
