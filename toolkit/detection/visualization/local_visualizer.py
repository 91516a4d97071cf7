"""The visualizer of detection."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from toolkit.detection.registry import VISUALIZERS
from toolkit.detection.structures import DetDataSample
from toolkit.detection.visualization.palette import class_color
from toolkit.structures import InstanceData
from toolkit.visualization import Visualizer
from toolkit.visualization.colors import ColorLike


@VISUALIZERS.register_module()
class DetLocalVisualizer(Visualizer):
    """Draws annotations and detections of an image, and gives the picture to the backends.

    `dataset_meta` may hold `classes` (names by label) and `palette` (RGB by label); without them labels are
    numbers and colours are generated.

    Args:
        name: Name of the instance.
        image: First picture, (H, W, 3) uint8 RGB.
        vis_backends: Configs of the backends that store pictures.
        save_dir: Folder of the backends.
        bbox_color: RGB colour of all boxes, or one a class, instead of the palette.
        mask_color: RGB colour of all masks, or one a class, instead of the palette.
        line_width: Width of lines in pixels; by default it follows the size of the picture.
        alpha: Opacity of boxes, 0 to 1; masks have half of it.
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: np.ndarray | None = None,
        vis_backends: Any = None,
        save_dir: str | None = None,
        bbox_color: Sequence[Any] | None = None,
        mask_color: Sequence[Any] | None = None,
        line_width: float | None = None,
        alpha: float = 0.8,
    ) -> None:
        super().__init__(name=name, image=image, vis_backends=vis_backends, save_dir=save_dir)
        self.bbox_color = bbox_color
        self.mask_color = mask_color
        self.line_width = line_width
        self.alpha = alpha
        self.dataset_meta = {}

    def add_datasample(  # type: ignore[override]  # MMDetection's arguments, in its order
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a sample; with both, the ground truth is on the left and the prediction on the right.

        The picture stays available through `get_image()`.

        Args:
            name: Name of the picture for the backends and the window.
            image: (H, W, 3) RGB.
            data_sample: What to draw, in pixels of `image`. None gives the bare image.
            draw_gt: Whether to draw `gt_instances`, where there are any.
            draw_pred: Whether to draw `pred_instances`, where there are any.
            show: Whether to open a window.
            wait_time: How long it stays, in seconds; 0 until a key is pressed.
            out_file: File to write the picture to, instead of giving it to the backends.
            pred_score_thr: Detections must score more than this.
            step: Step for the backends.
        """
        image = np.ascontiguousarray(np.clip(image, 0, 255), np.uint8)
        panels = []
        if draw_gt and data_sample is not None and "gt_instances" in data_sample:
            truth = data_sample.gt_instances.cpu()
            if "labels" in truth:
                panels.append(self._draw_instances(image, truth))
        if draw_pred and data_sample is not None and "pred_instances" in data_sample:
            found = data_sample.pred_instances.cpu()
            if "scores" in found:
                found = found[found.scores > pred_score_thr]
                found = found[found.scores.argsort(descending=True, stable=True)]
            panels.append(self._draw_instances(image, found))
        drawn = np.concatenate(panels, axis=1) if panels else image
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            os.makedirs(os.path.dirname(os.path.abspath(out_file)), exist_ok=True)
            cv2.imwrite(out_file, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        elif not show:
            self.add_image(name, drawn, step)

    def _draw_instances(self, image: np.ndarray, instances: InstanceData) -> np.ndarray:
        """A copy of an RGB image with instances on it: masks below, then boxes, then labels."""
        self.set_image(image)
        labels = [int(label) for label in instances.get("labels", ())]
        meta = self.dataset_meta or {}
        palette = meta.get("palette")
        boxes = None
        if labels and "masks" in instances:
            masks = _mask_array(instances.masks)
            tints: list[ColorLike] = [class_color(label, self.mask_color or palette) for label in labels]
            self.draw_binary_masks(masks, tints, self.alpha / 2)
            boxes = _extents(masks)
        colors: list[ColorLike] = [class_color(label, self.bbox_color or palette) for label in labels]
        if labels and "bboxes" in instances:
            limit = np.asarray([image.shape[1], image.shape[0]] * 2, np.float32) - 1
            boxes = np.clip(np.asarray(instances.bboxes, np.float32).reshape(-1, 4), 0, limit)
            # one pixel is too faint on a textured image
            width = self.line_width or max(2, self.default_line_width)
            self.draw_bboxes(boxes, colors, line_widths=width, alpha=self.alpha)
        if boxes is not None:
            self.draw_labels(self._texts(labels, instances.get("scores"), meta.get("classes")), boxes, colors)
        return self.get_image()

    @staticmethod
    def _texts(labels: Sequence[int], scores: Any, classes: Sequence[str] | None) -> list[str]:
        names = [
            classes[label] if classes is not None and label < len(classes) else f"class {label}"
            for label in labels
        ]
        if scores is None:
            return names
        return [f"{name} {float(score):.2f}" for name, score in zip(names, scores, strict=True)]


def _mask_array(masks: Any) -> np.ndarray:
    """(N, H, W) uint8 of BitmapMasks, a tensor or an array."""
    if hasattr(masks, "to_ndarray"):
        masks = masks.to_ndarray()
    return np.asarray(masks).astype(np.uint8)


def _extents(masks: np.ndarray) -> np.ndarray:
    """(N, 4) boxes around masks, for their labels."""
    rects = np.asarray([cv2.boundingRect(mask) for mask in masks], np.float32).reshape(-1, 4)
    rects[:, 2:] += rects[:, :2]
    return rects
