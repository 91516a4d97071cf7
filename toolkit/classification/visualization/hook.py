"""Pictures of predictions during validation and test."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from toolkit.classification.registry import HOOKS
from toolkit.classification.structures import DataSample
from toolkit.hooks import Hook
from toolkit.transforms import read_image
from toolkit.transforms.image_ops import bgr2rgb


@HOOKS.register_module()
class VisualizationHook(Hook):
    """Writes true and predicted labels on pictures.

    Args:
        enable: Whether to draw at all.
        interval: Draw every so many samples.
        show: Open windows.
        out_dir: Folder for the pictures, instead of the visualizer's backends.
        **kwargs: Of `UniversalVisualizer.visualize_cls`, such as `rescale_factor`.
    """

    def __init__(
        self,
        enable: bool = False,
        interval: int = 5000,
        show: bool = False,
        out_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.enable = enable
        self.interval = interval
        self.show = show
        self.out_dir = out_dir
        self.draw_args = {"wait_time": 0, **kwargs}
        self._seen = 0

    def before_val_epoch(self, runner: Any) -> None:
        """Count the samples of each validation from zero."""
        self._seen = 0

    def before_test_epoch(self, runner: Any) -> None:
        """Count the samples of each test from zero."""
        self._seen = 0

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[DataSample] | None = None
    ) -> None:
        """Draw every `interval`-th sample of a validation."""
        self._draw(runner, outputs or (), step=runner.iter if runner.train_loop is not None else None)

    def after_test_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Sequence[DataSample] | None = None
    ) -> None:
        """Draw every `interval`-th sample of a test."""
        self._draw(runner, outputs or (), step=None)

    def _draw(self, runner: Any, outputs: Sequence[DataSample], step: int | None) -> None:
        if not self.enable:
            return
        first, self._seen = self._seen, self._seen + len(outputs)
        for number, sample in enumerate(outputs, first):
            path = sample.get("img_path")
            if number % self.interval or path is None:
                continue
            name = os.path.splitext(os.path.basename(path))[0]
            out_file = None if self.out_dir is None else os.path.join(self.out_dir, f"{name}_{number}.png")
            runner.visualizer.add_datasample(
                name if self.show else f"{number}_{name}",
                bgr2rgb(read_image(path)),
                data_sample=sample,
                show=self.show,
                out_file=out_file,
                step=number if step is None else step,
                **self.draw_args,
            )
