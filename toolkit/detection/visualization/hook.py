"""Pictures of detections during validation and test."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import cv2

from toolkit.detection.registry import HOOKS
from toolkit.detection.structures import DetDataSample
from toolkit.detection.visualization.worst import Quality, comparison, quality
from toolkit.dist import all_gather_object, is_main_process
from toolkit.hooks import Hook
from toolkit.hooks.interval import checked_interval
from toolkit.transforms import read_image
from toolkit.transforms.image_ops import bgr2rgb
from toolkit.utils import ConfigError

Ranked = tuple[Quality, DetDataSample]


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
        worst: In a test, draw only so many images, those with the worst F1, worst first: ground truth beside
            detections, mistakes in colours of their own. The files' names begin with their rank and F1.
        iou_thr: How much a detection must overlap an object, for `worst`.
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
        worst: int | None = None,
        iou_thr: float = 0.5,
    ) -> None:
        self.draw = draw
        self.interval = checked_interval("DetVisualizationHook", interval)
        self.score_thr = score_thr
        self.show = show
        self.wait_time = wait_time
        self.test_out_dir = test_out_dir
        self.backend_args = backend_args
        self.worst = worst
        self.iou_thr = iou_thr
        self._drawn = 0
        self._kept: list[Ranked] = []

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
        self._kept = []

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Draw all images, or remember the worst."""
        if not self.draw or not outputs:
            return
        if self.worst is not None:
            self._remember(outputs)
            return
        set_name = getattr(getattr(runner, "test_loop", None), "set_name", "")  # of several named sets
        for sample in outputs:
            self._drawn += 1
            file = os.path.basename(sample.img_path)
            folder = os.path.join(self._folder(runner), set_name)
            out_file = None if self.test_out_dir is None else os.path.join(folder, file)
            self._draw(runner, file if self.show else "test_img", sample, self._drawn, out_file)

    def after_test(self, runner: Any) -> None:
        """Draw the worst images."""
        if not self.draw or self.worst is None:
            return
        # those of all processes, of which each saw a part of the images
        ranked = sorted((one for part in all_gather_object(self._kept) for one in part), key=_order)
        self._kept = []
        if not is_main_process():
            return
        for rank, (result, sample) in enumerate(ranked[: self.worst], start=1):
            file = os.path.basename(sample.img_path)
            image = bgr2rgb(read_image(sample.img_path, backend_args=self.backend_args))
            picture = comparison(runner.visualizer, image, sample, result, f"{rank}. {file}")
            name = f"{rank:03d}_f1-{result.f1:.2f}_{os.path.splitext(file)[0]}.png"
            if self.test_out_dir is None:
                runner.visualizer.add_image(f"worst_{rank:03d}", picture, rank)
                continue
            os.makedirs(self._folder(runner), exist_ok=True)
            path = os.path.join(self._folder(runner), name)
            cv2.imwrite(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def _folder(self, runner: Any) -> str:
        return os.path.join(runner.work_dir, runner.timestamp, self.test_out_dir or "")

    def _remember(self, outputs: Sequence[DetDataSample]) -> None:
        for output in outputs:
            truth = output.get("gt_instances")
            if truth is None or "labels" not in truth:
                raise ConfigError(
                    "the worst images can't be told without ground truth: add dict(type='LoadAnnotations', "
                    "with_bbox=True) to the test pipeline, after Resize"
                )
            found = output.pred_instances.cpu()
            sample = DetDataSample(metainfo=output.metainfo)
            sample.gt_instances = truth.cpu()
            sample.pred_instances = found[found.scores > self.score_thr]
            result = quality(sample.gt_instances, sample.pred_instances, self.iou_thr)
            self._kept.append((result, sample))
        # no more than needed is kept: predicted masks are large
        self._kept = sorted(self._kept, key=_order)[: self.worst]

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


def _order(ranked: Ranked) -> tuple[float, int, str]:
    """Images in the order of their quality, and among equals by name."""
    return *ranked[0].order, str(ranked[1].img_path)
