"""The visualizer of classification."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from toolkit.classification.registry import VISUALIZERS
from toolkit.classification.structures import DataSample
from toolkit.visualization import Visualizer

# Smaller pictures are enlarged to this height, or a caption would cover them.
_READABLE = 160


@VISUALIZERS.register_module(name=["UniversalVisualizer", "ClsVisualizer"])
class UniversalVisualizer(Visualizer):
    """Writes true and predicted labels on a picture, and gives it to the backends.

    `dataset_meta['classes']` names the labels; without it they are numbers. Arguments: `Visualizer`.
    """

    def visualize_cls(
        self,
        image: np.ndarray,
        data_sample: DataSample,
        classes: Sequence[str] | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_score: bool = True,
        resize: int | None = None,
        rescale_factor: float | None = None,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        name: str = "",
        step: int = 0,
    ) -> np.ndarray:
        """Draw a sample.

        Args:
            image: (H, W, 3) uint8 RGB.
            data_sample: Its labels.
            classes: Names of the labels; by default those of the dataset.
            draw_gt: Write the true label.
            draw_pred: Write the predicted label.
            draw_score: Write the score beside it.
            resize: Scale the shorter edge to this length first. By default small pictures are enlarged.
            rescale_factor: Scale by this factor first, instead.
            show: Open a window.
            wait_time: Seconds until it closes.
            out_file: Store the picture here instead of in the backends.
            name: Name of the picture in the backends, and title of the window.
            step: Its step there.

        Returns:
            The picture, (H', W', 3) uint8 RGB.
        """
        if classes is None:
            classes = (self.dataset_meta or {}).get("classes")
        self.set_image(_scaled(image, resize, rescale_factor))
        lines = []
        if draw_gt and "gt_label" in data_sample:
            lines.append("Ground truth: " + _named(data_sample.gt_label, classes))
        if draw_pred and "pred_label" in data_sample:
            score = data_sample.get("pred_score") if draw_score else None
            lines.append("Prediction: " + _named(data_sample.pred_label, classes, score))
        if lines:
            self._write(lines)
        drawn = self.get_image()
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            os.makedirs(os.path.dirname(out_file) or ".", exist_ok=True)
            cv2.imwrite(out_file, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        elif self._vis_backends:
            self.add_image(name, drawn, step=step)
        return drawn

    def _write(self, lines: Sequence[str]) -> None:
        size = max(10, min(self.default_font_size, int(1.6 * self.width / max(map(len, lines)))))
        self.draw_texts(
            "\n".join(lines),
            np.array([4, 4]),
            font_sizes=size,
            colors="w",
            vertical_alignments="top",
            horizontal_alignments="left",
            bboxes={"facecolor": "black", "alpha": 0.6, "pad": 2, "edgecolor": "none"},
        )

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        step: int = 0,
        **kwargs: Any,
    ) -> None:
        """Draw a sample under a name; see `visualize_cls`, which takes the further arguments."""
        self.visualize_cls(
            image,
            data_sample if data_sample is not None else DataSample(),
            draw_gt=draw_gt,
            draw_pred=draw_pred,
            show=show,
            wait_time=wait_time,
            name=name,
            step=step,
            **kwargs,
        )


def _scaled(image: np.ndarray, resize: int | None, factor: float | None) -> np.ndarray:
    shorter = min(image.shape[:2])
    if factor is None:
        factor = (resize or max(_READABLE, shorter)) / shorter
    if factor == 1:
        return image
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST if factor > 2 else cv2.INTER_LINEAR
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)


def _named(labels: Tensor, classes: Sequence[str] | None, scores: Tensor | None = None) -> str:
    parts = []
    for label in labels.tolist():
        text = str(classes[label]) if classes is not None and label < len(classes) else str(label)
        parts.append(text if scores is None else f"{text} {float(scores[label]):.2f}")
    return ", ".join(parts)
