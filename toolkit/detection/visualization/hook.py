"""Pictures of detections during validation and test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.detection.registry import HOOKS
from toolkit.detection.structures import DetDataSample
from toolkit.hooks import Hook
from toolkit.transforms import read_image
from toolkit.transforms.image_ops import bgr2rgb


@HOOKS.register_module()
class DetVisualizationHook(Hook):
    """Draws detections beside the ground truth.

    In validation the first image of every `interval`-th batch goes to the visualizer's backends, in a test
    every image; with `test_out_dir` those of a test become files there instead.

    Args:
        draw: Whether to draw at all.
        interval: Every how many batches of a validation.
        score_thr: Detections must score more than this.
        show: Whether to open windows, instead of storing pictures.
        wait_time: How long a window stays, in seconds; 0 until a key is pressed.
        test_out_dir: Folder for the pictures of a test, below the run's folder.
        backend_args: Options for reading remote images.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        self.draw = draw
        self.interval = interval
        self.score_thr = score_thr
        self.show = show
        self.wait_time = wait_time
        self.test_out_dir = test_out_dir
        self.backend_args = backend_args
        self._drawn = 0

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Draw the first image of every `interval`-th batch."""
        if self.draw and outputs and batch_idx % self.interval == 0:
            name = os.path.basename(outputs[0].img_path) if self.show else "val_img"
            self._draw(runner, name, outputs[0], runner.iter + batch_idx, None)

    def before_test(self, runner: Any) -> None:
        """Count the pictures of each test from one."""
        self._drawn = 0

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Draw all images."""
        if not self.draw or not outputs:
            return
        for sample in outputs:
            self._drawn += 1
            file = os.path.basename(sample.img_path)
            out_file = None
            if self.test_out_dir is not None:
                folder = os.path.join(runner.work_dir, runner.timestamp, self.test_out_dir)
                out_file = os.path.join(folder, file)
            self._draw(runner, file if self.show else "test_img", sample, self._drawn, out_file)

    def _draw(self, runner: Any, name: str, sample: DetDataSample, step: int, out_file: str | None) -> None:
        runner.visualizer.add_datasample(
            name,
            bgr2rgb(read_image(sample.img_path, backend_args=self.backend_args)),
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            pred_score_thr=self.score_thr,
            out_file=out_file,
            step=step,
        )
