"""Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from toolkit.registry import VISBACKENDS
from toolkit.utils import ConfigError
from toolkit.visualization.canvas import Image
from toolkit.visualization.trackers.base import TrackerVisBackend
from toolkit.visualization.trackers.secrets import published

# W&B's own step only grows, and what is written late is dropped. So the iteration is a number of its own.
_STEP = "step"


@VISBACKENDS.register_module()
class WandbVisBackend(TrackerVisBackend):
    """Numbers and pictures on Weights & Biases (or in its files, with ``init_kwargs=dict(mode='offline')``).

    All curves lie over `step`, the iteration.

    Args:
        save_dir: Folder of the local files.
        init_kwargs: Arguments of `wandb.init`.
        define_metric_cfg: What W&B shall make of a curve: summaries by name
            (``{'coco/bbox_mAP': 'max'}``), or a list of arguments of `wandb.define_metric`.
        commit: Whether what is written counts at once; see `wandb.log`.
        log_code_name: Name of the artifact with the source code. Without a name no code is uploaded (MMEngine
            uploads all Python files of the current folder).
        watch_kwargs: Arguments of `wandb.watch`, which `add_graph` calls.

    Raises:
        MissingPackageError: wandb is not installed.
        ConfigError: `define_metric_cfg` is neither a dict nor a list.
    """

    package = "wandb"

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        init_kwargs: Mapping[str, Any] | None = None,
        define_metric_cfg: Mapping[str, str] | Sequence[Mapping[str, Any]] | None = None,
        commit: bool | None = True,
        log_code_name: str | None = None,
        watch_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(save_dir)
        self._init_kwargs = dict(init_kwargs or {})
        metrics: list[dict[str, Any]]
        if isinstance(define_metric_cfg, Mapping):
            metrics = [{"name": name, "summary": kind} for name, kind in define_metric_cfg.items()]
        elif define_metric_cfg is None or isinstance(define_metric_cfg, (list, tuple)):
            metrics = [dict(one) for one in define_metric_cfg or ()]
        else:
            raise ConfigError(f"define_metric_cfg is a dict or a list of dicts, got {define_metric_cfg!r}")
        self._metrics = metrics
        self._commit = commit
        self._log_code_name = log_code_name
        self._watch_kwargs = dict(watch_kwargs or {})

    def _open(self) -> Any:
        import wandb

        run = wandb.init(**{"dir": self.save_dir, **self._init_kwargs})
        # After `close`, the same run goes on.
        self._init_kwargs = {**self._init_kwargs, "id": run.id, "resume": "allow"}
        run.define_metric(_STEP, hidden=True)
        run.define_metric("*", step_metric=_STEP)
        for metric in self._metrics:
            run.define_metric(**{"step_metric": _STEP, **metric})
        return wandb

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config, with what is secret hidden."""
        run = self.experiment.run
        run.config.update(
            published(config), allow_val_change=self._init_kwargs.get("allow_val_change", False)
        )
        if self._log_code_name is not None:
            run.log_code(name=self._log_code_name)

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Lets W&B watch the model's gradients."""
        self.experiment.run.watch(model, **self._watch_kwargs)

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture."""
        picture = self.experiment.Image(image)
        self.experiment.run.log({name: picture, _STEP: step}, commit=self._commit)

    def _track(self, numbers: Mapping[str, int | float], step: int) -> None:
        self.experiment.run.log({**numbers, _STEP: step}, commit=self._commit)

    def _close(self) -> None:
        self.experiment.run.finish()
