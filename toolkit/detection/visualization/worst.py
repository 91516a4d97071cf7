"""The images that a detector does worst on: how well it does on one, and a picture of its mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from toolkit.detection.evaluation.overlaps import pairwise_ious
from toolkit.detection.structures import DetDataSample
from toolkit.detection.visualization.local_visualizer import DetLocalVisualizer, mask_array
from toolkit.structures import InstanceData
from toolkit.visualization.colors import ColorLike

RIGHT, MISSED, WRONG = (60, 190, 75), (225, 30, 45), (245, 150, 30)
_GAP = 8
_SMALL = 400  # pictures with a shorter side than this are enlarged, to make room for labels


@dataclass(frozen=True)
class Quality:
    """What a detector got right and wrong on an image.

    Attributes:
        found: Which objects it found, (G,) bool.
        right: Which detections are objects, (D,) bool.
    """

    found: np.ndarray
    right: np.ndarray

    @property
    def missed(self) -> int:
        """How many objects it didn't find."""
        return int((~self.found).sum())

    @property
    def wrong(self) -> int:
        """How many detections are nothing, another class, or found twice."""
        return int((~self.right).sum())

    @property
    def f1(self) -> float:
        """Twice the right ones, in what there is and what was detected; 1 where there is nothing at all."""
        total = len(self.found) + len(self.right)
        return 2 * int(self.right.sum()) / total if total else 1.0

    @property
    def order(self) -> tuple[float, int]:
        """The lower, the worse: by F1, then by the number of mistakes."""
        return self.f1, -self.missed - self.wrong


def quality(truth: InstanceData, found: InstanceData, iou_thr: float = 0.5) -> Quality:
    """Match detections with objects of their class, the surest first, each with the one it overlaps most.

    Args:
        truth: `bboxes` and `labels`.
        found: `bboxes`, `labels` and `scores`, above the threshold of interest.
        iou_thr: How much two boxes must overlap.
    """
    boxes, labels = np.asarray(truth.bboxes, np.float64), np.asarray(truth.labels)
    overlaps = pairwise_ious(np.asarray(found.bboxes, np.float64).reshape(-1, 4), boxes.reshape(-1, 4))
    overlaps[np.asarray(found.labels)[:, None] != labels[None]] = -1
    taken, right = np.zeros(len(labels), bool), np.zeros(len(overlaps), bool)
    if not len(labels):
        return Quality(taken, right)
    for index in np.argsort(-np.asarray(found.scores), kind="stable"):
        free = np.where(taken, -1.0, overlaps[index])
        best = int(free.argmax())
        if free[best] >= iou_thr:
            taken[best] = right[index] = True
    return Quality(taken, right)


def comparison(
    visualizer: DetLocalVisualizer, image: np.ndarray, sample: DetDataSample, result: Quality, title: str
) -> np.ndarray:
    """The ground truth on the left, the detections on the right; mistakes stand out by their colours.

    Args:
        visualizer: Draws, with its classes.
        image: (H, W, 3) RGB uint8.
        sample: ``gt_instances``, and ``pred_instances`` above the threshold, in pixels of `image`.
        result: Which of them are right.
        title: Stands above.

    Returns:
        An RGB picture.
    """
    factor = max(1, round(_SMALL / min(image.shape[:2])))
    large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    count = len(result.found)
    sides = (
        (
            sample.gt_instances,
            result.found,
            MISSED,
            f"ground truth: {count}, of which {result.missed} missed (red)",
        ),
        (
            sample.pred_instances,
            result.right,
            WRONG,
            f"detected: {len(result.right)}, of which {result.wrong} wrong (orange)",
        ),
    )
    panels = []
    for instances, good, bad, caption in sides:
        colors: list[ColorLike] = [RIGHT if one else bad for one in good]
        drawn = visualizer.draw_instances(large, _enlarged(instances, factor), colors)
        panels.append(np.concatenate([_band(visualizer, drawn.shape[1], caption), drawn]))
    gap = np.full((panels[0].shape[0], _GAP, 3), 255, np.uint8)
    both = np.concatenate([panels[0], gap, panels[1]], axis=1)
    return np.concatenate([_band(visualizer, both.shape[1], f"{title}   F1 {result.f1:.2f}"), both])


def _enlarged(instances: InstanceData, factor: int) -> InstanceData:
    fields = {key: instances[key] for key in ("labels", "scores") if key in instances}
    large = InstanceData(bboxes=instances.bboxes * factor, **fields)
    if "masks" in instances:
        masks = mask_array(instances.masks)
        large.masks = masks.repeat(factor, axis=1).repeat(factor, axis=2)
    return large


def _band(visualizer: DetLocalVisualizer, width: int, text: str) -> np.ndarray:
    """A line of dark text on white."""
    size = 14
    visualizer.set_image(np.full((size + 10, width, 3), 255, np.uint8))
    ground = {"facecolor": "white", "pad": 0}
    visualizer.draw_texts(text, np.array([4, 4]), font_sizes=size, colors="k", bboxes=ground)
    return visualizer.get_image()
