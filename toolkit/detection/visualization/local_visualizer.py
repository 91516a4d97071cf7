"""The visualizer of detection."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from toolkit.detection.registry import VISUALIZERS
from toolkit.detection.structures import DetDataSample
from toolkit.detection.visualization.palette import class_color, generated_color
from toolkit.structures import InstanceData
from toolkit.visualization import Visualizer
from toolkit.visualization.colors import ColorLike
from toolkit.visualization.text import find_font, text_size

# if labels would cover more than this part of a picture, there are too many
_CROWDED = 0.15
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


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
        text_color: RGB colour of all labels' letters, or one a class; by default black or white, as is read
            better on the box's colour.
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
        text_color: Sequence[Any] | None = None,
        mask_color: Sequence[Any] | None = None,
        line_width: float | None = None,
        alpha: float = 0.8,
    ) -> None:
        super().__init__(name=name, image=image, vis_backends=vis_backends, save_dir=save_dir)
        self.bbox_color = bbox_color
        self.text_color = text_color
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
                panels.append(self.draw_instances(image, truth))
        if draw_pred and data_sample is not None and "pred_instances" in data_sample:
            found = data_sample.pred_instances.cpu()
            if "scores" in found:
                found = found[found.scores > pred_score_thr]
                found = found[found.scores.argsort(descending=True, stable=True)]
            panels.append(self.draw_instances(image, found))
        drawn = np.concatenate(panels, axis=1) if panels else image
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            os.makedirs(os.path.dirname(os.path.abspath(out_file)), exist_ok=True)
            cv2.imwrite(out_file, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
        elif not show:
            self.add_image(name, drawn, step)

    def draw_instances(
        self, image: np.ndarray, instances: InstanceData, colors: list[ColorLike] | None = None
    ) -> np.ndarray:
        """A copy of an RGB image with instances on it: masks below, then boxes, then labels.

        Args:
            image: (H, W, 3) uint8 RGB.
            instances: `labels`, and `bboxes` or `masks`; with `scores`, these are written, too.
            colors: One an instance, instead of the classes'.
        """
        self.set_image(image)
        labels = [int(label) for label in instances.get("labels", ())]
        boxes, width = None, self.line_width or max(2, self.default_line_width)
        tints, colors = (colors, colors) if colors else self._colors(labels, "masks" in instances)
        if labels and "masks" in instances:
            masks = mask_array(instances.masks)
            self._draw_masks(masks, tints)
            boxes = _extents(masks)
            width = self.line_width or 1  # the mask shows where the object is, the box shall not hide it
        if labels and "bboxes" in instances:
            limit = np.asarray([image.shape[1], image.shape[0]] * 2, np.float32) - 1
            boxes = np.clip(np.asarray(instances.bboxes, np.float32).reshape(-1, 4), 0, limit)
            # one pixel is too faint on a textured image, where there is nothing but the box
            self.draw_bboxes(boxes, colors, line_widths=width, alpha=self.alpha)
        if boxes is not None:
            self._draw_labels(labels, instances.get("scores"), boxes, colors)
        return self.get_image()

    def _colors(self, labels: Sequence[int], with_masks: bool) -> tuple[list[ColorLike], list[ColorLike]]:
        """The colours of masks and of boxes: the classes', but for masks of which several are of one class.

        Those get a colour an instance, so that neighbours can be told apart, unless the user chose colours.
        """
        palette = (self.dataset_meta or {}).get("palette")
        repeated = with_masks and len(set(labels)) < len(labels)
        if repeated and self.mask_color is None and self.bbox_color is None:
            own: list[ColorLike] = [generated_color(index) for index in range(len(labels))]
            return own, own
        tints: list[ColorLike] = [class_color(label, self.mask_color or palette) for label in labels]
        return tints, [class_color(label, self.bbox_color or palette) for label in labels]

    def _draw_masks(self, masks: np.ndarray, tints: list[ColorLike]) -> None:
        """Masks with their outlines, the largest first, so that no small one is hidden."""
        order = np.argsort(-masks.sum(axis=(1, 2), dtype=np.int64), kind="stable")
        colors = [tints[index] for index in order]
        self.draw_binary_masks(masks[order], colors, self.alpha / 2)
        # beyond the picture is no background: a mask that is cut off there has no outline there
        inner = [
            cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=1) for mask in masks[order]
        ]
        self.draw_binary_masks(masks[order] - np.asarray(inner), colors, self.alpha)

    def _draw_labels(
        self, labels: Sequence[int], scores: Any, boxes: np.ndarray, colors: list[ColorLike]
    ) -> None:
        """Labels of all boxes; where they would cover the picture, short ones of the first that have room."""
        texts = self._texts(labels, scores, (self.dataset_meta or {}).get("classes"))
        font = find_font("sans-serif", max(1, round(self.default_font_size)))
        if self._crowded(texts, font).any() and len(set(labels)) == 1:
            # the class is the same everywhere
            texts = [""] * len(labels) if scores is None else [f"{float(score):.2f}" for score in scores]
        crowded = self._crowded(texts, font)
        kept = [index for index, one in enumerate(texts) if one]
        if crowded.any():
            sizes = np.asarray([text_size(one, font) for one in texts], np.float32)
            room = ((boxes[:, 2:] - boxes[:, :2]) >= sizes * (1, 2)).all(axis=1)
            kept = [index for index in kept if room[index]]
            # the surest come first
            kept = kept[: int((~self._crowded([texts[index] for index in kept], font)).sum())]
        grounds = [colors[i] for i in kept]
        letters: list[ColorLike] | None = None
        if self.text_color is not None:
            letters = [class_color(labels[i], self.text_color) for i in kept]
        self.draw_labels([texts[i] for i in kept], boxes[kept], grounds, text_colors=letters)

    def _crowded(self, texts: Sequence[str], font: Any) -> np.ndarray:
        """(N,) bool: at which of the texts they begin to cover too much of the picture."""
        sizes = np.asarray([text_size(one, font) for one in texts], np.float32).reshape(-1, 2)
        return sizes.prod(axis=1).cumsum() > _CROWDED * self.width * self.height

    @staticmethod
    def _texts(labels: Sequence[int], scores: Any, classes: Sequence[str] | None) -> list[str]:
        names = [
            classes[label] if classes is not None and label < len(classes) else f"class {label}"
            for label in labels
        ]
        if scores is None:
            return names
        return [f"{name} {float(score):.2f}" for name, score in zip(names, scores, strict=True)]


def mask_array(masks: Any) -> np.ndarray:
    """(N, H, W) uint8 of BitmapMasks, a tensor or an array."""
    if hasattr(masks, "to_ndarray"):
        masks = masks.to_ndarray()
    return np.asarray(masks).astype(np.uint8)


def _extents(masks: np.ndarray) -> np.ndarray:
    """(N, 4) boxes around masks, for their labels."""
    rects = np.asarray([cv2.boundingRect(mask) for mask in masks], np.float32).reshape(-1, 4)
    rects[:, 2:] += rects[:, :2]
    return rects
