"""OpenImagesMetric, against what MMDetection 3.3.0 gives for the same data, and its rules one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.detection.registry import METRICS
from toolkit.utils import BuildError, DataError

# of MMDetection on `samples(0)`: AP by (get_supercategory, filter_labels)
FIGURES = {
    (True, True): 0.536089301109314,
    (True, False): 0.5204828977584839,
    (False, True): 0.5831845998764038,
    (False, False): 0.5646506547927856,
}
COUNT = 6


def relations():
    """Classes 1 and 2 are of class 0, class 3 of 2."""
    matrix = np.eye(COUNT)
    matrix[[1, 2, 3, 3], [0, 0, 2, 0]] = 1
    return matrix


def samples(seed: int, images: int = 12) -> list[dict]:
    rng = np.random.RandomState(seed)
    made = []
    for image in range(images):
        count = rng.randint(1, 7)
        corners = rng.uniform(0, 200, (count, 2))
        boxes = np.hstack([corners, corners + rng.uniform(20, 120, (count, 2))])
        labels = rng.randint(0, COUNT, count)
        copies = np.repeat(np.arange(count), rng.randint(0, 4, count))
        moved = boxes[copies] + rng.uniform(-14, 14, (len(copies), 4))
        stray = rng.uniform(0, 200, (rng.randint(1, 5), 2))
        found = np.vstack([moved, np.hstack([stray, stray + rng.uniform(10, 60, stray.shape)])])
        kinds = np.hstack([labels[copies], rng.randint(0, COUNT, len(stray))])
        scores = (rng.permutation(len(found)) + 1) / 40 + 0.0007 * image
        made.append(
            {
                "instances": [
                    {"bbox": box, "bbox_label": int(label), "is_group_of": bool(rng.rand() < 0.3)}
                    for box, label in zip(boxes.tolist(), labels, strict=True)
                ],
                "pred_instances": {
                    "bboxes": torch.from_numpy(found.astype(np.float32)),
                    "labels": torch.from_numpy(kinds),
                    "scores": torch.from_numpy(scores.astype(np.float32)),
                },
                "image_level_labels": rng.randint(0, COUNT, 2),
            }
        )  # fmt: skip
    return made


def evaluate(data, matrix=None, **kwargs):
    metric = METRICS.build({"type": "mmdet.OpenImagesMetric", **kwargs})
    names = tuple(f"c{label}" for label in range(COUNT))
    metric.dataset_meta = {"classes": names, "RELATION_MATRIX": relations() if matrix is None else matrix}
    metric.process(None, data)
    return metric.evaluate(len(data))


@pytest.mark.parametrize(("above", "filtered"), FIGURES)
def test_the_numbers_are_mmdetections(above, filtered):
    values = evaluate(samples(0), get_supercategory=above, filter_labels=filtered)
    assert values["openimages/mAP"] == pytest.approx(FIGURES[above, filtered], abs=1e-6)
    assert values["openimages/AP50"] == values["openimages/mAP"]


def one_image(objects, found, **more):
    return [
        {
            "instances": [
                {"bbox": box, "bbox_label": label, "is_group_of": group} for box, label, group in objects
            ],
            "pred_instances": {
                "bboxes": np.asarray([box for box, _, _ in found], np.float32).reshape(-1, 4),
                "labels": np.asarray([label for _, label, _ in found], np.int64),
                "scores": np.asarray([score for _, _, score in found], np.float32),
            },
            **more,
        }
    ]  # fmt: skip


BOX = [0, 0, 100, 100]


def test_a_detection_is_also_of_the_classes_above():
    # a 3 found as a 1 isn't found, but both are a 0; a 2 is missed
    values = evaluate(one_image([(BOX, 3, False)], [(BOX, 1, 0.9)]))
    assert values["openimages/mAP"] == pytest.approx(1 / 3)


def test_classes_that_were_not_looked_for_do_not_count():
    found = [(BOX, 4, 0.5), ([300, 300, 400, 400], 4, 0.4), (BOX, 5, 0.9)]
    assert evaluate(one_image([(BOX, 4, False)], found))["openimages/mAP"] == pytest.approx(1)
    wrong_first = [(BOX, 4, 0.5), ([300, 300, 400, 400], 4, 0.6)]
    assert evaluate(one_image([(BOX, 4, False)], wrong_first))["openimages/mAP"] == pytest.approx(0.5)


def test_all_that_lies_in_a_group_counts_once_and_a_missed_group_is_a_mistake():
    inside = [([10, 10, 30, 30], 4, 0.9), ([50, 50, 70, 70], 4, 0.8)]
    assert evaluate(one_image([(BOX, 4, True)], inside))["openimages/mAP"] == pytest.approx(1)
    assert evaluate(one_image([(BOX, 4, True)], inside), use_group_of=False)["openimages/mAP"] == 0
    both = [(BOX, 4, False), ([300, 300, 400, 400], 4, True)]
    assert evaluate(one_image(both, [(BOX, 4, 0.9)]))["openimages/mAP"] == pytest.approx(0.5)


def test_several_thresholds_and_what_is_missing():
    moved = [0, 0, 100, 60]
    values = evaluate(
        one_image([(BOX, 4, False)], [(moved, 4, 0.9)]), iou_thrs=[0.5, 0.7], ioa_thrs=[0.5, 0.5]
    )
    assert values == pytest.approx({"openimages/AP50": 1, "openimages/AP70": 0, "openimages/mAP": 0.5})
    with pytest.raises(BuildError, match="1 ioa_thrs for 2 iou_thrs"):
        evaluate([], iou_thrs=[0.5, 0.7])
    with pytest.raises(BuildError, match="needs ioa_thrs"):
        evaluate([], ioa_thrs=None)
    with pytest.raises(BuildError, match="scale_ranges"):
        evaluate([], scale_ranges=[(0, 32)])
    with pytest.raises(DataError, match="needs 'instances'"):
        evaluate([{"pred_instances": {}}])
