"""Confusion matrix, precision and recall, and TIDE: second implementations, and what tidecv gives."""

from __future__ import annotations

import json
import logging

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.detection.evaluation import confusion_matrix, precision_recall, tide_errors
from toolkit.detection.evaluation.error_analysis import ClassScores, pooled
from toolkit.detection.evaluation.overlaps import pairwise_ious
from toolkit.detection.registry import METRICS
from toolkit.logging import MMLogger
from toolkit.utils import BuildError

CLASSES = ("cat", "dog", "newt")
# of tidecv 1.0.1 on `scene(0)`, in per cent
TIDE_FIGURES = {
    "AP": 36.66509508093667,
    "Cls": 6.855256954266856,
    "Loc": 7.17555272010712,
    "Both": 2.4914872439624958,
    "Dupe": 0.5186232909005213,
    "Bkg": 3.657865786578647,
    "Miss": 18.13217035989311,
    "FP": 20.430614490020425,
    "FN": 28.418198962753358,
}
TIDE_COUNTS = {"Cls": 3, "Loc": 6, "Both": 3, "Dupe": 3, "Bkg": 12, "Miss": 9}


def scene(seed: int, images: int = 12, crowds: bool = False):
    """Objects, and detections: moved copies of them, some of another class or twice, and false ones."""
    rng = np.random.RandomState(seed)
    truths, found = [], []
    for image in range(images):
        count = 0 if image % 4 == 3 else rng.randint(1, 6)
        corners = rng.uniform(0, 150, (count, 2))
        boxes = np.hstack([corners, corners + rng.uniform(10, 60, (count, 2))])
        labels = rng.randint(0, 3, count)
        ignored = rng.rand(count) < (0.3 if crowds else 0)
        truths.append(
            {
                "bboxes": boxes[~ignored], "labels": labels[~ignored],
                "bboxes_ignore": boxes[ignored], "labels_ignore": labels[ignored],
            }
        )  # fmt: skip
        copies = np.repeat(np.arange(count), rng.randint(0, 3, count))
        moved = boxes[copies] + rng.uniform(-9, 9, (len(copies), 4))
        stray = rng.uniform(0, 150, (rng.randint(0, 4), 2))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        dets = np.vstack([moved, np.hstack([stray, stray + rng.uniform(5, 60, stray.shape)])])
        kinds = np.hstack([labels[copies], rng.randint(0, 3, len(stray))])
        kinds = np.where(rng.rand(len(kinds)) < 0.2, rng.randint(0, 3, len(kinds)), kinds)
        found.append(
            {"bboxes": dets, "labels": kinds, "scores": rng.permutation(len(dets)) / 20 + 0.001 * image}
        )
    return truths, found


def naive_confusion(truths, found, score_thr, iou_thr):
    matrix = np.zeros((4, 4), int)
    for truth, dets in zip(truths, found, strict=True):
        ious = pairwise_ious(dets["bboxes"], truth["bboxes"])
        free = set(range(len(truth["labels"])))
        for place in np.argsort(-dets["scores"], kind="stable"):
            if dets["scores"][place] < score_thr:
                continue
            best = max(free, key=lambda one: ious[place, one], default=None)
            if best is not None and ious[place, best] >= iou_thr:
                free.remove(best)
                matrix[truth["labels"][best], dets["labels"][place]] += 1
            else:
                matrix[3, dets["labels"][place]] += 1
        for one in free:
            matrix[truth["labels"][one], 3] += 1
    return matrix


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.4]), st.sampled_from([0.3, 0.5, 0.7]))
def test_confusions_are_those_of_a_loop(seed, score_thr, iou_thr):
    truths, found = scene(seed)
    matrix = confusion_matrix(truths, found, 3, score_thr, iou_thr)
    assert matrix.tolist() == naive_confusion(truths, found, score_thr, iou_thr).tolist()


def naive_right(truths, found, label, iou_thr):
    """Scores and verdicts of the detections of a class, one image after the other."""
    verdicts = []
    for truth, dets in zip(truths, found, strict=True):
        boxes = truth["bboxes"][truth["labels"] == label]
        own = dets["labels"] == label
        ious = pairwise_ious(dets["bboxes"][own], boxes)
        free = set(range(len(boxes)))
        scores = dets["scores"][own]
        for place in np.argsort(-scores, kind="stable"):
            best = max(free, key=lambda one: ious[place, one], default=None)
            right = best is not None and ious[place, best] >= iou_thr
            free -= {best} if right else set()
            verdicts.append((scores[place], right))
    return sorted(verdicts, key=lambda one: -one[0])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.7]))
def test_right_detections_are_those_of_a_loop(seed, iou_thr):
    truths, found = scene(seed)
    for label, one in enumerate(precision_recall(truths, found, 3, iou_thr)):
        expected = naive_right(truths, found, label, iou_thr)
        assert one.scores.tolist() == pytest.approx([score for score, _ in expected])
        assert one.right.sum() == sum(right for _, right in expected)
        assert one.num_gts == sum((truth["labels"] == label).sum() for truth in truths)


def test_precision_recall_and_f1_at_a_score():
    one = ClassScores(np.asarray([0.9, 0.8, 0.8, 0.3]), np.asarray([True, False, True, False]), 4)
    assert one.at(0.8) == pytest.approx((2 / 3, 2 / 4, 4 / 7))
    assert one.at(0.85) == pytest.approx((1, 1 / 4, 2 / 5))
    assert one.at(0.95) == (0, 0, 0)
    assert one.best_f1() == pytest.approx((4 / 7, 0.8))
    assert ClassScores(np.zeros(0), np.zeros(0, bool), 3).best_f1() == (0, 1)
    both = pooled([one, ClassScores(np.asarray([0.85]), np.asarray([True]), 1)])
    assert both.right.tolist() == [True, True, False, True, False]
    assert both.num_gts == 5


def test_crowds_count_neither_way():
    truths = [
        {
            "bboxes": [[0, 0, 10, 10]], "labels": [0],
            "bboxes_ignore": [[50, 50, 90, 90]], "labels_ignore": [0],
        }
    ]  # fmt: skip
    found = [
        {"bboxes": np.asarray([[0, 0, 10, 10], [55, 55, 75, 75.0]]), "labels": [0, 0], "scores": [0.5, 0.9]}
    ]
    (one,) = precision_recall(truths, found, 1)
    assert (one.scores.tolist(), one.right.tolist(), one.num_gts) == ([0.5], [True], 1)
    assert tide_errors(truths, found, 1).ap == pytest.approx(1)
    assert sum(tide_errors(truths, found, 1).counts.values()) == 0
    assert confusion_matrix(truths, found, 1).tolist() == [[1, 0], [0, 0]]


def test_tide_is_that_of_its_authors():
    errors = tide_errors(*scene(0), 3)
    assert errors.counts == TIDE_COUNTS
    assert {"AP": 100 * errors.ap} | {
        key: 100 * value for key, value in errors.delta_ap.items()
    } == pytest.approx(TIDE_FIGURES, abs=1e-9)


def test_each_kind_of_error_is_told_apart():
    truth = {"bboxes": np.asarray([[0, 0, 100, 100.0]]), "labels": np.asarray([0])}
    kinds = {
        "Cls": ([0, 0, 100, 100], 1), "Loc": ([0, 0, 100, 30], 0), "Both": ([0, 0, 100, 30], 1),
        "Bkg": ([200, 200, 300, 300], 0), "Dupe": ([0, 0, 100, 99], 0),
    }  # fmt: skip
    for name, (box, label) in kinds.items():
        boxes, labels = [box], [label]
        if name == "Dupe":
            boxes, labels = [[0, 0, 100, 100], box], [0, label]
        scores = np.linspace(0.9, 0.8, len(boxes))
        errors = tide_errors(
            [truth], [{"bboxes": np.asarray(boxes), "labels": np.asarray(labels), "scores": scores}], 2
        )
        assert errors.counts[name] == 1, name
    none = {"bboxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
    errors = tide_errors([truth], [none], 2)
    assert errors.counts["Miss"] == 1
    assert errors.ap == 0
    assert confusion_matrix([truth], [none], 2).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def as_samples(truths, found):
    return [
        {
            "img_id": number,
            "ori_shape": (200, 200),
            "gt_instances": {"bboxes": truth["bboxes"], "labels": truth["labels"]},
            "pred_instances": {key: torch.from_numpy(np.asarray(value)) for key, value in dets.items()},
        }
        for number, (truth, dets) in enumerate(zip(truths, found, strict=True))
    ]


def as_file(path, truths):
    # ids in another order than the labels
    ids = [30, 7, 12]
    annotations = [
        {
            "image_id": number,
            "category_id": ids[label],
            "bbox": [x, y, a - x, b - y],
            "area": 1.0,
            "iscrowd": 0,
        }
        for number, truth in enumerate(truths)
        for (x, y, a, b), label in zip(truth["bboxes"].tolist(), truth["labels"].tolist(), strict=True)
    ]
    content = {
        "images": [{"id": number, "height": 200, "width": 200} for number in range(len(truths))],
        "categories": [{"id": 99, "name": "owl"}]
        + [{"id": number, "name": name} for number, name in zip(ids, CLASSES, strict=True)],
        "annotations": [{"id": place, **one} for place, one in enumerate(annotations)],
    }
    path.write_text(json.dumps(content))
    return str(path)


def run(kind, samples, **kwargs):
    metric = METRICS.build({"type": f"mmdet.{kind}", **kwargs})
    metric.dataset_meta = {"classes": CLASSES}
    metric.process(None, samples)
    return metric.evaluate(len(samples)), metric


@pytest.fixture
def log(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO):
        yield caplog
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("from_file", [True, False])
def test_the_metrics_give_what_the_functions_do(tmp_path, log, from_file):
    truths, found = scene(3)
    where = {"ann_file": as_file(tmp_path / "ann.json", truths)} if from_file else {}
    samples = as_samples(truths, found)
    picture = tmp_path / "deep" / "matrix.png"
    values, metric = run("ConfusionMatrix", samples, score_thr=0.2, out_file=str(picture), **where)
    matrix = naive_confusion(truths, found, 0.2, 0.5)
    assert metric.matrix.tolist() == matrix.tolist()
    assert values["confusion/accuracy"] == pytest.approx(np.trace(matrix[:3, :3]) / matrix[:3, :3].sum())
    assert values["confusion/missed"] == pytest.approx(matrix[:3, 3].sum() / matrix[:3].sum())
    assert values["confusion/invented"] == pytest.approx(matrix[3].sum() / matrix[:, :3].sum())
    assert cv2.imread(str(picture)).std() > 10
    picture = tmp_path / "curves.png"
    values, _ = run("PrecisionRecallMetric", samples, score_thr=0.2, out_file=str(picture), **where)
    by_class = np.asarray([one.at(0.2) for one in precision_recall(truths, found, 3)])
    assert list(values.values())[:3] == pytest.approx(by_class.mean(axis=0).tolist())
    assert cv2.imread(str(picture)).std() > 10
    values, _ = run("TIDEMetric", samples, **where)
    errors = tide_errors(truths, found, 3)
    assert values == pytest.approx(
        {"tide/AP": errors.ap} | {f"tide/{k}": v for k, v in errors.delta_ap.items()}
    )
    for words in (
        "The most frequent confusions",
        "At score 0.2 and IoU 0.5",
        "TIDE at IoU 0.5",
        "nothing there",
    ):
        assert words in log.text


def test_masks_are_compared_where_asked_for():
    bitmaps = np.zeros((2, 50, 50), bool)
    bitmaps[0, :20, :20], bitmaps[1, :20, 30:] = True, True
    boxes = np.asarray([[0, 0, 50, 50], [0, 0, 50, 50.0]])
    labels = np.asarray([0, 1])
    sample = {
        "img_id": 1,
        "ori_shape": (50, 50),
        "gt_instances": {"bboxes": boxes, "labels": labels, "masks": bitmaps},
        "pred_instances": {
            "bboxes": boxes, "labels": labels[::-1].copy(), "scores": np.ones(2), "masks": bitmaps[::-1],
        },
    }  # fmt: skip
    values, metric = run("DetConfusionMatrix", [sample], iou_type="segm")
    assert values["confusion/accuracy"] == 1
    assert metric.matrix[:2, :2].tolist() == [[1, 0], [0, 1]]


def test_nothing_found_and_nothing_there(tmp_path):
    none = {"bboxes": np.zeros((0, 4)), "labels": np.zeros(0, int), "scores": np.zeros(0)}
    truths, found = scene(3, 2)
    for some_truths, some in ((truths, [none] * 2), ([none] * 2, found), ([none] * 2, [none] * 2)):
        samples = as_samples(some_truths, some)
        for kind in ("ConfusionMatrix", "PrecisionRecallMetric"):
            values, _ = run(kind, samples, out_file=str(tmp_path / "a.png"))
            assert np.isfinite(list(values.values())).all()
        run("TIDEMetric", samples)


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("DetConfusionMatrix", {"iou_type": "box"}, "iou_type='box'"),
        ("PrecisionRecallMetric", {"iou_thr": 50}, "between 0 and 1"),
        ("TIDEMetric", {"bg_thr": 0.6}, "between 0 and iou_thr=0.5"),
    ],
)
def test_bad_arguments_are_named(kind, arguments, words):
    with pytest.raises(BuildError, match=words):
        METRICS.build({"type": f"mmdet.{kind}", **arguments})
