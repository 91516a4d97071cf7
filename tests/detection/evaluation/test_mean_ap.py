"""Average precision, against a loop over the steps of VOC's development kit, and COCO's matching."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from toolkit.detection.evaluation import average_precision, eval_map


def reference_iou(a, b, extra):
    width = min(a[2], b[2]) - max(a[0], b[0]) + extra
    height = min(a[3], b[3]) - max(a[1], b[1]) + extra
    if width <= 0 or height <= 0:
        return 0.0
    area = sum((box[2] - box[0] + extra) * (box[3] - box[1] + extra) for box in (a, b))
    return width * height / (area - width * height)


def reference_ap(recall, precision, mode):
    if mode == "11points":
        return sum(
            max((p for r, p in zip(recall, precision, strict=True) if r >= t), default=0.0)
            for t in np.arange(0, 1 + 1e-3, 0.1)
        ) / 11  # fmt: skip
    mrec, mpre = [0.0, *recall, 1.0], [0.0, *precision, 0.0]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = max(mpre[i], mpre[i + 1])
    return sum((mrec[i] - mrec[i - 1]) * mpre[i] for i in range(1, len(mrec)) if mrec[i] != mrec[i - 1])


def reference_class(dets, truths, thr, mode, extra, area_range=None):
    """One class: `dets` is a list of (image, box, score), `truths` a list of (image, box, ignored)."""

    def outside(box):
        area = (box[2] - box[0] + extra) * (box[3] - box[1] + extra)
        return area_range is not None and not area_range[0] <= area < area_range[1]

    ignored = [flag or outside(box) for _, box, flag in truths]
    found = [False] * len(truths)
    right = wrong = 0
    recall, precision = [], []
    total = ignored.count(False)
    for image, box, _ in sorted(dets, key=lambda det: -det[2]):
        best, match = 0.0, None
        for number, (where, truth, _) in enumerate(truths):
            overlap = reference_iou(box, truth, extra) if where == image else 0.0
            if overlap > best:
                best, match = overlap, number
        if match is not None and best >= thr:
            if not ignored[match]:
                right, wrong = (right, wrong + 1) if found[match] else (right + 1, wrong)
                found[match] = True
        elif not outside(box):
            wrong += 1
        recall.append(right / max(total, 1e-7))
        precision.append(right / max(right + wrong, 1e-7))
    return total, recall, precision, reference_ap(recall, precision, mode)


@st.composite
def scenes(draw, classes=2):
    """Images with ground truth (some ignored) and detections, many of them near a ground truth box."""
    rng = np.random.RandomState(draw(st.integers(0, 2**31 - 1)))
    images = draw(st.integers(1, 4))
    dets, annotations = [], []
    for _ in range(images):
        count, near, far = rng.randint(0, 5), rng.randint(0, 6), rng.randint(0, 3)
        corners = rng.randint(0, 40, (count, 2))
        boxes = np.hstack([corners, corners + rng.randint(4, 30, (count, 2))]).astype(np.float32)
        labels, ignored = rng.randint(0, classes, count), rng.rand(count) < 0.3
        annotations.append(
            {
                "bboxes": boxes[~ignored],
                "labels": labels[~ignored],
                "bboxes_ignore": boxes[ignored],
                "labels_ignore": labels[ignored],
            }
        )
        copies = boxes[rng.randint(0, count, near)] + rng.randint(-4, 5, (near, 4)) if count else boxes
        corners = rng.randint(0, 40, (far, 2))
        found = np.vstack([copies, np.hstack([corners, corners + rng.randint(4, 30, (far, 2))])])
        # distinct scores: the order of equal ones is nobody's promise
        scores = rng.permutation(1000)[: len(found)] / 1000 + len(dets) * 1e-4
        found = np.column_stack([found, scores])
        of_class = rng.randint(0, classes, len(found))
        dets.append([found[of_class == label] for label in range(classes)])
    return dets, annotations


def class_lists(dets, annotations, label):
    found = [(i, det[:4], det[4]) for i, result in enumerate(dets) for det in result[label]]
    truths = [
        (i, box, bool(key))
        for i, ann in enumerate(annotations)
        for key in ("", "_ignore")
        for box, name in zip(ann["bboxes" + key], ann["labels" + key], strict=True)
        if name == label
    ]
    return found, truths


@settings(deadline=None, max_examples=60)
@given(scenes(), st.sampled_from(["area", "11points"]), st.sampled_from([0.3, 0.5, 0.75]), st.booleans())
def test_agrees_with_the_loop_of_the_development_kit(scene, mode, thr, legacy):
    dets, annotations = scene
    mean, results = eval_map(
        dets, annotations, iou_thr=thr, eval_mode=mode, use_legacy_coordinate=legacy, logger="silent"
    )
    aps = []
    for label, result in enumerate(results):
        total, recall, precision, ap = reference_class(
            *class_lists(dets, annotations, label), thr, mode, float(legacy)
        )
        assert result["num_gts"] == total
        assert result["num_dets"] == len(recall)
        assert result["recall"].tolist() == pytest.approx(recall, rel=1e-5, abs=1e-6)
        assert result["precision"].tolist() == pytest.approx(precision, rel=1e-5, abs=1e-6)
        assert result["ap"] == pytest.approx(ap, rel=1e-5, abs=1e-6)
        if total:
            aps.append(ap)
    assert mean == pytest.approx(np.mean(aps) if aps else 0.0, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(scenes())
def test_scale_ranges_agree_with_the_loop(scene):
    dets, annotations = scene
    ranges = [(0, 12), (12, 20), (0, 1000)]
    means, results = eval_map(dets, annotations, scale_ranges=ranges, logger="silent")
    assert len(means) == 3
    for label, result in enumerate(results):
        for column, (low, high) in enumerate(ranges):
            total, _, _, ap = reference_class(
                *class_lists(dets, annotations, label), 0.5, "area", 0.0, (low**2, high**2)
            )
            assert result["num_gts"][column] == total
            assert result["ap"][column] == pytest.approx(ap, rel=1e-5, abs=1e-6)


def grid_scene(seed: int):
    """Boxes so far apart that no detection touches two: there VOC's and COCO's matching are the same."""
    rng = np.random.RandomState(seed)
    truth, found = [], []
    for image in range(6):
        for cell in range(6):
            x, y = (cell % 3) * 100, (cell // 3) * 100
            box = np.asarray([x, y, x + rng.randint(20, 60), y + rng.randint(20, 60)], float)
            if rng.rand() < 0.8:
                truth.append((image, box))
            for _ in range(rng.randint(0, 3)):
                found.append((image, box + rng.randint(-8, 9, 4), rng.rand()))
    return truth, found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("thr", [0.5, 0.75])
def test_highest_recall_agrees_with_coco_where_boxes_are_apart(seed: int, thr: float):
    truth, found = grid_scene(seed)
    coco = COCO()
    as_coco = [[*box[:2], *(box[2:] - box[:2])] for _, box in truth]
    coco.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(6)],
        "categories": [{"id": 1}],
        "annotations": [
            {
                "id": n + 1,
                "image_id": i,
                "category_id": 1,
                "bbox": xywh,
                "area": xywh[2] * xywh[3],
                "iscrowd": 0,
            }
            for n, ((i, _), xywh) in enumerate(zip(truth, as_coco, strict=True))
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        results = coco.loadRes(
            [
                {"image_id": i, "category_id": 1, "score": s, "bbox": [*box[:2], *(box[2:] - box[:2])]}
                for i, box, s in found
            ]
        )
        referee = COCOeval(coco, results, "bbox")
        referee.params.iouThrs = np.asarray([thr])
        referee.evaluate()
        referee.accumulate()
    dets = [[np.asarray([[*b, s] for i, b, s in found if i == image]).reshape(-1, 5)] for image in range(6)]
    annotations = [
        {
            "bboxes": np.asarray([b for i, b in truth if i == image]).reshape(-1, 4),
            "labels": np.zeros(sum(i == image for i, _ in truth), int),
        }
        for image in range(6)
    ]
    _, (result,) = eval_map(dets, annotations, iou_thr=thr, logger="silent")
    assert result["recall"][-1] == pytest.approx(referee.eval["recall"][0, 0, 0, -1])


def test_average_precision_of_a_curve_worked_by_hand():
    # right, wrong, right; three boxes to find
    recall, precision = np.asarray([1 / 3, 1 / 3, 2 / 3]), np.asarray([1, 1 / 2, 2 / 3])
    assert average_precision(recall, precision, "area") == pytest.approx(1 / 3 + 2 / 9)
    # recalls 0, .1, .2, .3 see precision 1; .4, .5, .6 see 2/3; the others none
    assert average_precision(recall, precision, "11points") == pytest.approx((4 + 3 * 2 / 3) / 11)


def test_of_two_boxes_overlapped_alike_the_first_is_meant():
    det = [[np.asarray([[4, 0, 14, 10, 0.9]])]]
    pair = np.asarray([[0, 0, 10, 10], [8, 0, 18, 10.0]])
    labels = np.zeros(1, int)
    for first, second in ((0, 1), (1, 0)):
        scene = {
            "bboxes": pair[[first]],
            "labels": labels,
            "bboxes_ignore": pair[[second]],
            "labels_ignore": labels,
        }
        assert eval_map(det, [scene], iou_thr=0.3, logger="silent")[0] == 1


def test_nothing_found_and_nothing_to_find():
    none = np.zeros((0, 5))
    box = {"bboxes": np.asarray([[0, 0, 9, 9.0]]), "labels": np.asarray([0])}
    empty = {"bboxes": np.zeros((0, 4)), "labels": np.zeros(0, int)}
    assert eval_map([[none]], [box], logger="silent")[0] == 0.0
    assert eval_map([[none]], [empty], logger="silent")[0] == 0.0
    mean, (result,) = eval_map([[np.asarray([[0, 0, 9, 9, 0.5]])]], [empty], logger="silent")
    assert mean == 0.0
    assert result["num_dets"] == 1


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="11point"):
        average_precision(np.zeros(1), np.zeros(1), "11point")
    with pytest.raises(ValueError, match="2 images"):
        eval_map([[], []], [{}], logger="silent")
