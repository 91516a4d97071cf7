"""How well a detector does on an image, and the pictures of those where it does worst."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from toolkit.detection.structures import DetDataSample
from toolkit.detection.visualization import DetLocalVisualizer, DetVisualizationHook
from toolkit.detection.visualization.worst import MISSED, RIGHT, WRONG, comparison, quality
from toolkit.structures import InstanceData
from toolkit.utils import ConfigError

BOXES = [[10.0, 10, 30, 30], [40, 10, 60, 30], [10, 50, 30, 70]]


def truth(labels: list[int], **fields: Any) -> InstanceData:
    boxes = torch.tensor(BOXES[: len(labels)]).reshape(-1, 4)
    return InstanceData(bboxes=boxes, labels=torch.tensor(labels, dtype=torch.int64), **fields)


def detections(boxes: list[list[float]], labels: list[int], scores: list[float]) -> InstanceData:
    return InstanceData(
        bboxes=torch.tensor(boxes).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        scores=torch.tensor(scores),
    )


def test_each_object_is_found_once_and_in_its_class() -> None:
    # right, the same again with less confidence, another class, and nothing there at all
    found = detections([BOXES[0], BOXES[0], BOXES[1], [70.0, 70, 80, 80]], [0, 0, 1, 0], [0.9, 0.5, 0.8, 0.7])
    result = quality(truth([0, 0, 1]), found)
    assert result.found.tolist() == [True, False, False]
    assert result.right.tolist() == [True, False, False, False]
    assert (result.missed, result.wrong) == (2, 3)
    assert result.f1 == pytest.approx(2 * 1 / (3 + 4))


def test_the_surest_detection_has_the_first_choice() -> None:
    shifted = [[12.0, 10, 32, 30], BOXES[0]]
    result = quality(truth([0]), detections(shifted, [0, 0], [0.9, 0.6]))
    assert result.right.tolist() == [True, False]


def test_images_without_anything() -> None:
    none = detections([], [], [])
    assert quality(truth([]), none).f1 == 1
    assert quality(truth([0]), none).f1 == 0
    assert quality(truth([]), detections([BOXES[0]], [0], [0.5])).wrong == 1


@pytest.mark.parametrize("with_masks", [False, True])
def test_mistakes_have_colours_of_their_own(with_masks: bool) -> None:
    masks = np.zeros((2, 100, 120), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, np.asarray(BOXES, int), strict=False):
        mask[y1:y2, x1:x2] = 1
    sample = DetDataSample()
    sample.gt_instances = truth([0, 0], **({"masks": torch.from_numpy(masks)} if with_masks else {}))
    sample.pred_instances = detections([BOXES[0], [70.0, 70, 90, 90]], [0, 0], [0.9, 0.8])
    visualizer = DetLocalVisualizer(vis_backends=None, alpha=1.0)
    image = np.zeros((100, 120, 3), np.uint8)
    result = quality(sample.gt_instances, sample.pred_instances)
    picture = comparison(visualizer, image, sample, result, "x")
    middle = picture.shape[1] // 2
    left, right = picture[:, :middle], picture[:, middle:]

    def has(part: np.ndarray, color: tuple[int, int, int]) -> bool:
        return bool((part == color).all(axis=-1).any())

    assert has(left, RIGHT)
    assert has(left, MISSED)
    assert not has(left, WRONG)
    assert has(right, RIGHT)
    assert has(right, WRONG)
    assert not has(right, MISSED)
    assert picture.shape[1] > 2 * 3 * 120  # a small image is enlarged


def test_the_worst_images_are_drawn_in_order(tmp_path: Path) -> None:
    runner = SimpleNamespace(
        work_dir=str(tmp_path), timestamp="now", visualizer=DetLocalVisualizer(vis_backends=None)
    )
    hook = DetVisualizationHook(draw=True, worst=2, test_out_dir="out")
    hook.before_test(runner)
    for name, hits in (("good", 3), ("bad", 0), ("fair", 1), ("empty", None)):
        path = tmp_path / f"{name}.png"
        cv2.imwrite(str(path), np.zeros((80, 80, 3), np.uint8))
        sample = DetDataSample(metainfo={"img_path": str(path)})
        sample.gt_instances = truth([0, 0, 0] if hits is not None else [])
        count = hits or 0
        sample.pred_instances = detections(BOXES[:count], [0] * count, [0.9] * count)
        hook.after_test_iter(runner, 0, None, [sample])
    hook.after_test(runner)
    names = sorted(file.name for file in (tmp_path / "now" / "out").iterdir())
    assert names == ["001_f1-0.00_bad.png", "002_f1-0.50_fair.png"]


def test_without_ground_truth_no_image_is_the_worst() -> None:
    sample = DetDataSample(metainfo={"img_path": "x.png"})
    sample.pred_instances = detections([], [], [])
    with pytest.raises(ConfigError, match="LoadAnnotations"):
        DetVisualizationHook(draw=True, worst=1).after_test_iter(SimpleNamespace(), 0, None, [sample])
