"""Where numbers and pictures of a run are kept: local files and TensorBoard."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
import torch

from toolkit.registry import VISBACKENDS
from toolkit.utils import DataError
from toolkit.visualization.canvas import Image


class BaseVisBackend:
    """A place that a `Visualizer` writes to. Nothing is made there before something is written.

    Args:
        save_dir: Folder of the backend's files.
    """

    def __init__(self, save_dir: str | os.PathLike[str]) -> None:
        self.save_dir = os.fspath(save_dir)

    @property
    def experiment(self) -> Any:
        """What the backend writes with, for what this interface lacks; None where there is no such thing."""
        return None

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the run's config."""

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Keeps the model's graph."""

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture, RGB (H, W, 3)."""

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Keeps a number."""

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Keeps several numbers of one step."""

    def close(self) -> None:
        """Finishes writing. The backend may be used again."""


@VISBACKENDS.register_module()
class LocalVisBackend(BaseVisBackend):
    """Pictures as PNG files, numbers as lines of JSON, the config as it is dumped.

    Args:
        save_dir: Folder of all of them.
        img_save_dir: Folder of the pictures in it.
        config_save_file: Name of the config's file.
        scalar_save_file: Name of the file of numbers.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        img_save_dir: str = "vis_image",
        config_save_file: str = "config.py",
        scalar_save_file: str = "scalars.json",
    ) -> None:
        super().__init__(save_dir)
        self.img_save_dir = os.path.join(self.save_dir, img_save_dir)
        self.config_save_file = os.path.join(self.save_dir, config_save_file)
        self.scalar_save_file = os.path.join(self.save_dir, scalar_save_file)
        self._streams: dict[str, TextIO] = {}

    @property
    def experiment(self) -> LocalVisBackend:
        """The backend itself."""
        return self

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Dumps the config."""
        Path(self.save_dir).mkdir(parents=True, exist_ok=True)
        config.dump(self.config_save_file)

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Writes `vis_image/NAME_STEP.png`; slashes in the name make folders.

        Raises:
            DataError: It can't be written.
        """
        path = Path(self.img_save_dir, f"{name}_{step}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)):
            raise DataError(f"the picture {path} could not be written")

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Appends a line with the number and its step."""
        self._append({name: value, "step": step}, [self.scalar_save_file])

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Appends a line with the numbers and their step; to `file_path` of the folder too, where given.

        Raises:
            ValueError: `file_path` is the file that the numbers go to anyway.
        """
        record = {**scalar_dict, "step": scalar_dict.get("step", step)}
        paths = [self.scalar_save_file]
        if file_path is not None:
            paths.append(os.path.join(self.save_dir, file_path))
            if paths[0] == paths[1]:
                raise ValueError(f"file_path={file_path!r} is the file that all numbers go to")
        self._append(record, paths)

    def _append(self, record: Mapping[str, Any], paths: Sequence[str]) -> None:
        line = json.dumps({key: _jsonable(value) for key, value in record.items()}) + "\n"
        for path in paths:
            stream = self._streams.get(path)
            if stream is None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                stream = self._streams[path] = open(path, "a", encoding="utf-8")  # noqa: SIM115
            stream.write(line)
            stream.flush()

    def close(self) -> None:
        """Closes the files."""
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()


@VISBACKENDS.register_module()
class TensorboardVisBackend(BaseVisBackend):
    """Event files that TensorBoard shows.

    Args:
        save_dir: Folder of the event files.
    """

    def __init__(self, save_dir: str | os.PathLike[str]) -> None:
        super().__init__(save_dir)
        self._writer: Any = None

    @property
    def experiment(self) -> Any:
        """The `torch.utils.tensorboard.SummaryWriter`."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self.save_dir)
        return self._writer

    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Keeps the config as text."""
        text = getattr(config, "pretty_text", str(config))
        self.experiment.add_text("config", "\n".join(f"    {line}" for line in text.splitlines()))

    def add_graph(self, model: torch.nn.Module, data_batch: Any, **kwargs: Any) -> None:
        """Traces the model on `data_batch`: tensors, or a dict whose 'inputs' are."""
        inputs = data_batch["inputs"] if isinstance(data_batch, Mapping) else data_batch
        self.experiment.add_graph(model, inputs, **kwargs)

    def add_image(self, name: str, image: Image, step: int = 0, **kwargs: Any) -> None:
        """Keeps a picture."""
        self.experiment.add_image(name, image, step, dataformats="HWC")

    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Keeps a number; anything else is left out."""
        number = plain_value(value)
        if isinstance(number, (int, float)):
            self.experiment.add_scalar(name, number, step)

    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Keeps several numbers, each as a curve of its own."""
        step = int(scalar_dict.get("step", step))
        for name, value in scalar_dict.items():
            if name != "step":
                self.add_scalar(name, value, step)
        self.experiment.flush()

    def close(self) -> None:
        """Closes the event file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def plain_value(value: Any) -> Any:
    """A number of torch or numpy as Python's; containers with such in them likewise; NaN stays NaN."""
    return _jsonable(value, finite=False)


def _jsonable(value: Any, finite: bool = True) -> Any:
    """A plain value for JSON, which has no NaN or infinity: they become null where `finite`."""
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)):
        value = value.tolist() if np.ndim(value) else value.item()
    if isinstance(value, float):
        return None if finite and not math.isfinite(value) else value
    if value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item, finite) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_jsonable(item, finite) for item in value]
    return str(value)
