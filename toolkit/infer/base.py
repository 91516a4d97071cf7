"""BaseInferencer: what every task's inferencer shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from toolkit.utils.errors import DataError

Image = str | np.ndarray
LOADER = "LoadImageFromFile"


class BaseInferencer(ABC):
    """Runs a model on single images, without a dataset.

    Args:
        model: The model, on its device, with its weights loaded.
        pipeline: Transforms of the test pipeline as built callables, from the image on (see `load.py`).
        classes: Class names by label.
        palette: RGB colour a class, or None for a default one.

    A task's inferencer says how one prediction becomes JSON values (`as_record`) and a picture (`draw`).
    """

    def __init__(
        self,
        model: nn.Module,
        pipeline: Any,
        classes: Sequence[str],
        palette: Sequence[tuple[int, int, int]] | None = None,
    ) -> None:
        self.model = model.eval()
        self.pipeline = pipeline
        self.classes = tuple(classes)
        self.palette = palette

    def __call__(self, images: Image | Sequence[Image], batch_size: int = 4) -> list[Any]:
        """Predict on one image or several.

        Args:
            images: Paths or uint8 BGR arrays of shape (H, W, 3).
            batch_size: Images a forward pass.

        Returns:
            One data sample an image, in order, on the CPU.

        Raises:
            DataError: An image can't be read.
        """
        if isinstance(images, (str, np.ndarray)):
            images = [images]
        predictions = []
        for _, result in self.stream(images, batch_size):
            if isinstance(result, DataError):
                raise result
            predictions.append(result)
        return predictions

    def stream(self, images: Sequence[Image], batch_size: int = 4) -> Iterator[tuple[Image, Any]]:
        """Yield (image, prediction), or (image, DataError) for one that can't be read, in order.

        The next batch is read in threads while the model works on the present one.
        """
        todo = iter(images)
        with ThreadPoolExecutor(max_workers=min(batch_size, 8)) as pool:
            batch = list(islice(todo, batch_size))
            loading = [pool.submit(self._load, image) for image in batch]
            while batch:
                following = list(islice(todo, batch_size))
                ahead = [pool.submit(self._load, image) for image in following]
                yield from zip(batch, self._predict([job.result() for job in loading]), strict=True)
                batch, loading = following, ahead

    def _load(self, image: Image) -> Any:
        start: dict[str, Any] = {"img_id": 0, "sample_idx": 0, "img_path": None}
        if isinstance(image, str):
            start["img_path"] = image
        else:
            start.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        try:
            return self.pipeline(start)
        except DataError as error:
            return error

    def _predict(self, samples: list[Any]) -> list[Any]:
        good = [sample for sample in samples if not isinstance(sample, DataError)]
        batch = {key: [sample[key] for sample in good] for key in good[0]} if good else {}
        with torch.inference_mode():
            step = cast("Callable[[Any], list[Any]]", self.model.test_step)
            predictions = iter([sample.cpu() for sample in step(batch)] if good else [])
        return [sample if isinstance(sample, DataError) else next(predictions) for sample in samples]

    @classmethod
    @abstractmethod
    def handles(cls, model: nn.Module) -> bool:
        """Whether this inferencer understands what the model predicts."""

    @abstractmethod
    def as_record(self, prediction: Any, score_thr: float) -> dict[str, Any]:
        """The prediction as plain values that JSON can hold."""

    @abstractmethod
    def draw(self, image: np.ndarray, prediction: Any, score_thr: float) -> np.ndarray:
        """The prediction drawn on an image; both uint8 RGB of shape (H, W, 3)."""
