"""VOCMetric, from data samples to the printed table."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from toolkit.detection.evaluation import VOCMetric
from toolkit.detection.registry import METRICS
from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData
from toolkit.utils import DataError

META = {"classes": ("cat", "dog"), "dataset_type": None}


def sample(truth=(), ignored=(), found=()):
    """A data sample as a dict; boxes are (x1, y1, x2, y2, label[, score])."""

    def instances(rows, columns):
        values = torch.tensor(rows, dtype=torch.float32).reshape(-1, columns)
        data = InstanceData(bboxes=values[:, :4], labels=values[:, 4].long())
        if columns == 6:
            data.scores = values[:, 5]
        return data

    element = DetDataSample(metainfo={"img_id": 1})
    element.gt_instances = instances(truth, 5)
    element.ignored_instances = instances(ignored, 5)
    element.pred_instances = instances(found, 6)
    return element.to_dict()


def evaluate(samples, meta=META, **kwargs):
    metric = VOCMetric(**kwargs)
    metric.dataset_meta = meta
    metric.process(None, samples)
    return metric.evaluate(size=len(samples))


CAT, DOG = (0, 0, 99, 99, 0), (200, 200, 299, 299, 1)


def test_keys_and_values():
    samples = [
        sample(truth=[CAT, DOG], found=[(*CAT, 0.9), (50, 150, 90, 190, 1, 0.8)]),
        sample(truth=[CAT], found=[(*CAT, 0.7)]),
    ]
    values = evaluate(samples, eval_mode="area")
    assert values == {"pascal_voc/mAP": pytest.approx(0.5), "pascal_voc/AP50": pytest.approx(0.5)}


def test_each_threshold_has_its_number_and_map_is_their_mean():
    shifted = (0, 0, 99, 74, 0, 0.9)  # IoU 0.75 with CAT in whole pixels
    values = evaluate([sample(truth=[CAT], found=[shifted])], iou_thrs=[0.5, 0.58, 0.9])
    assert list(values) == ["pascal_voc/mAP", "pascal_voc/AP50", "pascal_voc/AP58", "pascal_voc/AP90"]
    assert values["pascal_voc/mAP"] == pytest.approx(2 / 3)


def test_widths_count_whole_pixels():
    # 100 x 50 of 100 x 100 pixels: IoU is 0.5 only if both corner pixels belong to the box
    values = evaluate([sample(truth=[CAT], found=[(0, 0, 99, 49, 0, 0.9)])])
    assert values["pascal_voc/AP50"] == pytest.approx(1)


def test_difficult_objects_neither_count_nor_hurt():
    found = [(*CAT, 0.6), (*DOG[:4], 0, 0.9)]
    assert evaluate([sample(truth=[CAT], ignored=[(*DOG[:4], 0)], found=found)])["pascal_voc/mAP"] == 1
    # without the difficult one, the best detection is a mistake
    assert evaluate([sample(truth=[CAT], found=found)], eval_mode="area")["pascal_voc/mAP"] == 0.5


def test_scale_ranges_have_a_number_each():
    values = evaluate([sample(truth=[CAT], found=[(*CAT, 0.9)])], scale_ranges=[(0, 32), (32, 128)])
    assert values["pascal_voc/AP50_0_32"] == 0
    assert values["pascal_voc/AP50_32_128"] == 1
    assert values["pascal_voc/mAP"] == 0.5


def test_recall_counts_boxes_of_any_class():
    samples = [sample(truth=[CAT, DOG], found=[(*CAT[:4], 1, 0.9)])]
    values = evaluate(samples, metric="recall", proposal_nums=(1, 10), iou_thrs=[0.5, 0.7])
    assert values["pascal_voc/recall@1@0.5"] == 0.5
    assert values["pascal_voc/AR@10"] == 0.5


def test_the_table_names_classes(caplog: pytest.LogCaptureFixture):
    from toolkit.logging import MMLogger

    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        evaluate([sample(truth=[CAT, DOG], found=[(*CAT, 0.9), (*CAT, 0.8)])])
    logger.removeHandler(caplog.handler)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in caplog.text.splitlines() if "|" in line
    ]
    assert ["class", "gts", "dets", "recall", "ap"] in rows
    assert ["cat", "1", "2", "1.000", "1.000"] in rows
    assert ["dog", "1", "0", "0.000", "0.000"] in rows
    assert ["mAP", "", "", "", "0.500"] in rows


def test_a_pipeline_without_annotations_is_explained():
    element = DetDataSample()
    element.gt_instances = InstanceData()
    element.pred_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long(), scores=torch.zeros(0)
    )
    with pytest.raises(DataError, match="LoadAnnotations"):
        evaluate([element.to_dict()])


def test_the_other_eval_mode_is_warned_of():
    with pytest.warns(UserWarning, match="VOC2012"):
        evaluate([sample(truth=[CAT])], meta={**META, "dataset_type": "VOC2012"})


def test_bad_arguments_name_the_choices():
    with pytest.raises(ValueError, match="did you mean 'mAP'"):
        VOCMetric(metric="map")
    with pytest.raises(ValueError, match="11points"):
        VOCMetric(eval_mode="12points")


def test_it_is_found_under_its_name_and_mmdetections_scope():
    assert METRICS.get("VOCMetric") is VOCMetric
    assert METRICS.get("mmdet.VOCMetric") is VOCMetric


def test_arrays_do_as_well_as_tensors():
    arrays = {
        "gt_instances": {"bboxes": np.asarray([CAT[:4]], np.float32), "labels": np.asarray([0])},
        "pred_instances": {
            "bboxes": np.asarray([CAT[:4]], np.float32),
            "labels": np.asarray([0]),
            "scores": np.asarray([0.5]),
        },
    }
    assert evaluate([arrays])["pascal_voc/mAP"] == 1


def random_samples(seed: int, images: int = 12, classes: int = 3) -> list[dict]:
    rng = np.random.RandomState(seed)
    samples = []
    for _ in range(images):
        count = rng.randint(0, 7)
        corners = rng.randint(0, 120, (count, 2))
        boxes = np.hstack([corners, corners + rng.randint(8, 70, (count, 2))]).astype(np.float32)
        labels, hard = rng.randint(0, classes, count), rng.rand(count) < 0.2
        again = np.repeat(np.arange(count), rng.randint(0, 3, count))
        near = boxes[again] + rng.uniform(-8, 8, (len(again), 4))
        found = np.vstack([near, rng.uniform(0, 60, (3, 4)) + np.asarray([0, 0, 60, 60])])
        kinds = np.hstack([labels[again], rng.randint(0, classes, 3)])
        scores = (rng.permutation(len(found)) + rng.rand(len(found)) / 2) / len(found)
        rows = np.hstack([boxes, labels[:, None]])
        samples.append(sample(rows[~hard], rows[hard], np.hstack([found, kinds[:, None], scores[:, None]])))
    return samples


@pytest.mark.parametrize(
    ("options", "mean", "others"),
    [
        ({"eval_mode": "11points"}, 0.26503124833, {}),
        ({"eval_mode": "area"}, 0.24248246849, {}),
        (
            {"eval_mode": "area", "iou_thrs": [0.5, 0.6, 0.75]},
            0.11580196772,
            {"AP50": 0.242, "AP60": 0.103, "AP75": 0.002},
        ),
    ],
)
def test_the_numbers_are_mmdetections(options, mean, others):
    """Those of MMDetection 3.3.0 on the same boxes, in float32 and, for single thresholds, rounded."""
    meta = {"classes": ("cat", "dog", "newt"), "dataset_type": "VOC2007"}
    values = evaluate(random_samples(3), meta, **options)
    assert values["pascal_voc/mAP"] == pytest.approx(mean, abs=1e-7)
    assert {key: round(values[f"pascal_voc/{key}"], 3) for key in others} == others
