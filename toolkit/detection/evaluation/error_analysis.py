"""What a detector gets wrong: confused classes, precision and recall at a score, and TIDE's kinds of errors.

Each function takes arrays of images: the ground truth as dicts of `bboxes` (n, 4) xyxy and `labels` (n,),
with `bboxes_ignore` and `labels_ignore` for boxes that count neither way, and the detections as dicts of
`bboxes`, `labels` and `scores`. The metrics of `error_metrics` do the same in a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.detection.evaluation.coco_base import Scene
from toolkit.detection.evaluation.coco_detections import CocoDetections, to_xywh
from toolkit.detection.evaluation.coco_eval import CocoBackend
from toolkit.detection.evaluation.coco_truth import content_of_samples

TIDE_ERRORS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
TIDE_EXTRA = ("FP", "FN")
# more than any detector gives an image
ALL_DETECTIONS = 100_000


@dataclass(frozen=True)
class ClassScores:
    """The detections of a class by falling score, and which of them are right.

    Args:
        scores: (D,) falling.
        right: (D,) bool.
        num_gts: How many objects there are to be found.
    """

    scores: np.ndarray
    right: np.ndarray
    num_gts: int

    def curves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precision, recall and F1 of the best 1, 2, … D detections, each (D,)."""
        found = np.cumsum(self.right)
        taken = np.arange(1, len(found) + 1)
        recall = found / self.num_gts if self.num_gts else np.zeros(len(found))
        return found / taken, recall, 2 * found / (taken + self.num_gts)

    def at(self, score_thr: float) -> tuple[float, float, float]:
        """Precision, recall and F1 of the detections with at least a score; 0 where they have no meaning."""
        count = int(np.count_nonzero(self.scores >= score_thr))
        if not count:
            return 0.0, 0.0, 0.0
        precision, recall, f1 = (curve[count - 1] for curve in self.curves())
        return float(precision), float(recall), float(f1)

    def best_f1(self) -> tuple[float, float]:
        """The highest F1, and the score from which on it is reached; 0 and 1 where nothing is right."""
        if not self.right.any():
            return 0.0, 1.0
        # detections of one score are taken together, so only the last of them is a place to cut
        last = np.append(self.scores[1:] != self.scores[:-1], True)
        f1 = np.where(last, self.curves()[2], -1)
        best = int(f1.argmax())
        return float(f1[best]), float(self.scores[best])


def pooled(classes: Sequence[ClassScores]) -> ClassScores:
    """All classes as one."""
    scores = np.concatenate([one.scores for one in classes]) if classes else np.zeros(0)
    right = np.concatenate([one.right for one in classes]) if classes else np.zeros(0, bool)
    order = np.argsort(-scores, kind="stable")
    return ClassScores(scores[order], right[order], sum(one.num_gts for one in classes))


@dataclass(frozen=True)
class TideErrors:
    """What each kind of error costs.

    Args:
        ap: Average precision at the threshold of a right detection.
        delta_ap: How much it would gain were all errors of a kind mended: 'Cls', 'Loc', 'Both', 'Dupe', 'Bkg'
            and 'Miss', and 'FP' and 'FN' for all false positives or all misses.
        counts: How many errors there are of the six kinds.
    """

    ap: float
    delta_ap: dict[str, float]
    counts: dict[str, int]


def confusion_matrix(
    truths: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    num_classes: int,
    score_thr: float = 0.3,
    iou_thr: float = 0.5,
) -> np.ndarray:
    """Which class is taken for which.

    Each detection, by falling score, is matched with the object that it overlaps most among those that are
    left, whatever their classes. One on a crowd that matches nothing else counts neither way.

    Args:
        truths: The objects of each image; see this module.
        detections: The detections of each image.
        num_classes: K.
        score_thr: Lowest score of a detection that counts.
        iou_thr: Smallest IoU of a match.

    Returns:
        (K + 1, K + 1) int64: rows are true classes, columns predicted ones; the last row holds detections of
        nothing, the last column objects that weren't found.
    """
    scene, found = _scene_of_arrays(truths, detections, num_classes)
    return confusion_of(scene, found, "bbox", score_thr, iou_thr)


def precision_recall(
    truths: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    num_classes: int,
    iou_thr: float = 0.5,
) -> list[ClassScores]:
    """Which detections of each class are right, matched by COCO's rules at one threshold.

    Args:
        truths: The objects of each image; see this module.
        detections: The detections of each image.
        num_classes: K.
        iou_thr: Smallest IoU of a right detection.

    Returns:
        One for each class.
    """
    scene, found = _scene_of_arrays(truths, detections, num_classes)
    return scores_of(scene, found, "bbox", iou_thr)


def tide_errors(
    truths: Sequence[Mapping[str, Any]],
    detections: Sequence[Mapping[str, Any]],
    num_classes: int,
    pos_thr: float = 0.5,
    bg_thr: float = 0.1,
) -> TideErrors:
    """The kinds of errors of a detector, and what each costs.

    Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020.

    Args:
        truths: The objects of each image; see this module.
        detections: The detections of each image.
        num_classes: Number of classes.
        pos_thr: Smallest IoU of a right detection.
        bg_thr: Smallest IoU of a detection that isn't of background.
    """
    scene, found = _scene_of_arrays(truths, detections, num_classes)
    return tide_of(scene, found, "bbox", pos_thr, bg_thr)


def _scene_of_arrays(
    truths: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]], num_classes: int
) -> tuple[Scene, CocoDetections]:
    if len(truths) != len(detections):
        raise ValueError(f"{len(truths)} images with objects, but {len(detections)} with detections.")
    results = [
        {**{key: np.asarray(found[key]) for key in ("bboxes", "labels", "scores")}, "height": 0, "width": 0}
        | {"truth": [*_objects(truth, "", 0), *_objects(truth, "_ignore", 1)]}
        for truth, found in zip(truths, detections, strict=True)
    ]
    numbers = list(range(1, len(results) + 1))
    content = content_of_samples(results, numbers, [str(label) for label in range(num_classes)])
    scene = Scene(CocoBackend("hotcoco").dataset(content), numbers, list(range(num_classes)))
    return scene, CocoDetections(results, num_classes)


def _objects(truth: Mapping[str, Any], suffix: str, flag: int) -> list[dict[str, Any]]:
    boxes = np.asarray(truth.get(f"bboxes{suffix}", ())).reshape(-1, 4)
    labels = np.asarray(truth.get(f"labels{suffix}", ())).reshape(-1)
    return [
        {"bbox": box, "bbox_label": int(label), "ignore_flag": flag}
        for box, label in zip(boxes.tolist(), labels, strict=True)
    ]


def _prepared(scene: Scene, detections: CocoDetections, iou_type: str, iou_thr: float, max_dets: int) -> Any:
    gathered = detections.masks if iou_type == "segm" else detections.boxes
    return CocoBackend("hotcoco").prepare(
        scene.truth,
        gathered(scene.image_ids, scene.category_ids),
        iou_type,
        img_ids=scene.image_ids,
        cat_ids=scene.category_ids,
        max_dets=[max_dets],
        iou_thrs=np.asarray([iou_thr]),
    )


def confusion_of(
    scene: Scene, detections: CocoDetections, iou_type: str, score_thr: float, iou_thr: float
) -> np.ndarray:
    """See `confusion_matrix`."""
    from hotcoco import mask as coco_mask

    labels = {number: label for label, number in enumerate(scene.category_ids)}
    nothing = len(labels)
    matrix = np.zeros((nothing + 1, nothing + 1), np.int64)
    objects: dict[int, list[dict[str, Any]]] = {number: [] for number in scene.image_ids}
    for one in scene.truth.dataset["annotations"]:
        if one["image_id"] in objects and one["category_id"] in labels:
            objects[one["image_id"]].append(one)
    for number, result in zip(scene.image_ids, detections.results, strict=True):
        truth = objects[number]
        scores = result.get("mask_scores", result["scores"]) if iou_type == "segm" else result["scores"]
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= score_thr]
        crowd = [bool(one.get("iscrowd")) for one in truth]
        if iou_type == "segm":
            regions: Any = [scene.truth.annToRLE(one) for one in truth]
            found: Any = [result["masks"][place] for place in order]
        else:
            regions = np.asarray([one["bbox"] for one in truth], np.float64).reshape(-1, 4)
            found = to_xywh(result["bboxes"][order])
        ious = np.zeros((len(order), len(truth)))
        if ious.size:
            ious = np.asarray(coco_mask.iou(found, regions, crowd)).reshape(ious.shape)
        true = np.asarray([labels[one["category_id"]] for one in truth], np.int64)
        _count_matches(matrix, ious >= iou_thr, ious, np.asarray(crowd, bool), true, result["labels"][order])
    return matrix


def _count_matches(
    matrix: np.ndarray,
    close: np.ndarray,
    ious: np.ndarray,
    crowd: np.ndarray,
    true: np.ndarray,
    predicted: np.ndarray,
) -> None:
    """Add an image to the matrix: D detections by falling score and G objects.

    Args:
        matrix: (K + 1, K + 1), changed in place.
        close: (D, G) bool, which may be matched.
        ious: (D, G).
        crowd: (G,) bool; a detection on a crowd counts neither way.
        true: (G,) labels.
        predicted: (D,) labels.
    """
    nothing = len(matrix) - 1
    free = ~crowd
    for row, label in enumerate(predicted.astype(np.int64)):
        candidates = close[row] & free
        if candidates.any():
            best = int(np.where(candidates, ious[row], -1).argmax())
            free[best] = False
            matrix[true[best], label] += 1
        elif not (close[row] & crowd).any():
            matrix[nothing, label] += 1
    np.add.at(matrix, (true[free], nothing), 1)


def scores_of(scene: Scene, detections: CocoDetections, iou_type: str, iou_thr: float) -> list[ClassScores]:
    """See `precision_recall`."""
    evaluation = _prepared(scene, detections, iou_type, iou_thr, ALL_DETECTIONS)
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    by_category: dict[int, list[Mapping[str, Any]]] = {one: [] for one in scene.category_ids}
    for image in evaluation.evalImgs:
        if image is not None:
            by_category[image["category_id"]].append(image)
    return [_class_scores(by_category[one]) for one in scene.category_ids]


def _class_scores(images: Sequence[Mapping[str, Any]]) -> ClassScores:
    scores, right, num_gts = [np.zeros(0)], [np.zeros(0, bool)], 0
    for image in images:
        counted = ~np.asarray(image["dtIgnore"][0], bool)
        scores.append(np.asarray(image["dtScores"], np.float64)[counted])
        right.append(np.asarray(image["dtMatched"][0], bool)[counted])
        num_gts += len(image["gtIgnore"]) - int(np.count_nonzero(image["gtIgnore"]))
    all_scores, all_right = np.concatenate(scores), np.concatenate(right)
    order = np.argsort(-all_scores, kind="stable")
    return ClassScores(all_scores[order], all_right[order], num_gts)


def tide_of(
    scene: Scene, detections: CocoDetections, iou_type: str, pos_thr: float, bg_thr: float
) -> TideErrors:
    """See `tide_errors`."""
    # 100 detections an image, as TIDE's own toolbox and COCO's AP have it
    evaluation = _prepared(scene, detections, iou_type, pos_thr, 100)
    evaluation.evaluate()
    outcome = evaluation.tide_errors(pos_thr=pos_thr, bg_thr=bg_thr)
    gains = {name: float(outcome["delta_ap"][name]) for name in (*TIDE_ERRORS, *TIDE_EXTRA)}
    counts = {name: int(outcome["counts"].get(name, 0)) for name in TIDE_ERRORS}
    return TideErrors(float(outcome["ap_base"]), gains, counts)
