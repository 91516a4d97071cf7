"""Draws predictions during validation and test, for any task whose visualizer can draw a data sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from toolkit.hooks.hook import DataBatch, Hook, Runner
from toolkit.hooks.interval import Interval, checked_interval
from toolkit.registry import HOOKS

Image = npt.NDArray[np.uint8]


@HOOKS.register_module()
class NaiveVisualizationHook(Hook):
    """Hands pictures with their data samples to `runner.visualizer.add_datasample`.

    A picture is read from the sample's `img_path` where it has one; else it is the batch's input, unpadded.

    Args:
        interval: Draw the samples of every so many batches.
        draw_gt: Whether the annotations are drawn.
        draw_pred: Whether the predictions are drawn.
        on_val: Whether validation is drawn, besides the test.

    Raises:
        ConfigError: `interval` is not positive.
    """

    priority = "NORMAL"

    def __init__(
        self, interval: int = 1, draw_gt: bool = True, draw_pred: bool = True, on_val: bool = False
    ) -> None:
        self.interval = Interval(checked_interval("NaiveVisualizationHook", interval), by_epoch=False)
        self.draw_gt = draw_gt
        self.draw_pred = draw_pred
        self.on_val = on_val

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draws, if wanted and if it is time."""
        if self.on_val and self.interval.due(batch_idx + 1):
            self._draw(runner, "val", batch_idx, data_batch, outputs or ())

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DataBatch = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draws, if it is time."""
        if self.interval.due(batch_idx + 1):
            self._draw(runner, "test", batch_idx, data_batch, outputs or ())

    def _draw(
        self, runner: Runner, mode: str, batch_idx: int, data_batch: DataBatch, outputs: Sequence[Any]
    ) -> None:
        # Of several named sets, each may have a picture of the same file name.
        set_name = getattr(getattr(runner, f"{mode}_loop", None), "set_name", "")
        prefix = f"{set_name}_" if set_name else ""
        inputs = data_batch.get("inputs", ()) if isinstance(data_batch, dict) else ()
        for place, sample in enumerate(outputs):
            path = getattr(sample, "img_path", None)
            image = _read(path) if path else None
            if image is None and place < len(inputs):
                image = _picture(inputs[place], getattr(sample, "img_shape", None))
            if image is None:
                continue
            runner.visualizer.add_datasample(
                prefix + (Path(path).stem if path else f"{mode}_{batch_idx}_{place}"),
                image,
                data_sample=sample,
                draw_gt=self.draw_gt,
                draw_pred=self.draw_pred,
                step=runner.iter,
            )


def _read(path: str) -> Image | None:
    bgr = cv2.imread(path)
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _picture(inputs: torch.Tensor, shape: Sequence[int] | None) -> Image | None:
    """A batch's input (3, H, W) or (1, H, W), BGR from 0 to 255, as RGB (H, W, 3) cut to `shape`."""
    if inputs.dim() != 3 or inputs.shape[0] not in (1, 3):
        return None
    if shape is not None:
        inputs = inputs[:, : shape[0], : shape[1]]
    array = inputs.detach().clamp(0, 255).to("cpu", torch.uint8).numpy()
    image = np.repeat(array, 3, axis=0) if len(array) == 1 else array[::-1]
    return np.ascontiguousarray(image.transpose(1, 2, 0))
