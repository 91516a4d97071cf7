"""Average precision as Pascal VOC defines it, for all images of a class at once.

Everingham et al., "The Pascal Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.2, and
`VOCevaldet` of the development kit: detections are taken by falling score; each is compared with the ground
truth box of its image and class that it overlaps most; the first to reach the threshold on a box is right,
further ones are wrong; one on a difficult box counts neither way.

Shapes: D detections and G ground truth boxes of one class, S scale ranges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.detection.evaluation.overlaps import box_areas, paired_ious
from toolkit.detection.evaluation.table import text_table
from toolkit.logging import print_log

EVAL_MODES = ("area", "11points")


def average_precision(recalls: np.ndarray, precisions: np.ndarray, mode: str = "area") -> Any:
    """Average precision of curves.

    Args:
        recalls: (D,) or (S, D), not falling along the last axis.
        precisions: Of the same shape.
        mode: 'area' under the curve once precision is made to never rise with recall (VOC 2010 and later), or
            '11points': the mean over recalls 0, 0.1, …, 1 of the best precision from there on (VOC 2007).

    Returns:
        A float for one curve, (S,) float64 for several.

    Raises:
        ValueError: Unknown mode.
    """
    if mode not in EVAL_MODES:
        raise ValueError(f"eval_mode must be one of {', '.join(map(repr, EVAL_MODES))}, not {mode!r}.")
    if recalls.ndim == 1:
        return float(average_precision(recalls[None], precisions[None], mode)[0])
    # best precision at this recall or beyond
    ceiling = np.maximum.accumulate(precisions[:, ::-1], axis=1)[:, ::-1]
    if mode == "area":
        steps = np.diff(recalls, axis=1, prepend=0)
        return (steps * ceiling).sum(axis=1)
    ceiling = np.pad(ceiling, ((0, 0), (0, 1)))  # beyond the highest recall: 0
    points = np.arange(0, 1 + 1e-3, 0.1)
    reached = np.stack([np.searchsorted(curve, points) for curve in recalls])
    return np.take_along_axis(ceiling, reached, axis=1).mean(axis=1)


class _ClassBoxes(NamedTuple):
    """Everything about one class: detections by falling score, and ground truth."""

    dets: np.ndarray  # (D, 5) x1, y1, x2, y2, score
    det_images: np.ndarray  # (D,)
    gts: np.ndarray  # (G, 4), grouped by image, ignored ones last within an image
    gt_images: np.ndarray  # (G,), rising
    gt_ignored: np.ndarray  # (G,) bool


def _gather_class(
    det_results: Sequence[Sequence[np.ndarray]], annotations: Sequence[Mapping[str, Any]], label: int
) -> _ClassBoxes:
    per_image = [np.asarray(result[label]).reshape(-1, 5) for result in det_results]
    dets = np.concatenate(per_image)
    det_images = np.repeat(np.arange(len(per_image)), [len(boxes) for boxes in per_image])
    order = np.argsort(-dets[:, 4], kind="stable")
    gts, images, ignored = [], [], []
    for image, annotation in enumerate(annotations):
        for key, flag in (("", False), ("_ignore", True)):
            labels = annotation.get(f"labels{key}")
            if labels is None or not len(labels):
                continue
            chosen = np.asarray(annotation[f"bboxes{key}"]).reshape(-1, 4)[np.asarray(labels) == label]
            gts.append(chosen)
            images += [image] * len(chosen)
            ignored += [flag] * len(chosen)
    boxes = np.concatenate(gts) if gts else np.zeros((0, 4), np.float32)
    return _ClassBoxes(
        dets[order], det_images[order], boxes, np.asarray(images, np.int64), np.asarray(ignored, bool)
    )


def _best_match(boxes: _ClassBoxes, extra: float) -> tuple[np.ndarray, np.ndarray]:
    """For each detection the ground truth of its image that it overlaps most, and the IoU.

    Returns:
        (D,) IoU, 0 where the image has no ground truth; (D,) index of the ground truth, -1 there.
    """
    first = np.searchsorted(boxes.gt_images, boxes.det_images, side="left")
    count = np.searchsorted(boxes.gt_images, boxes.det_images, side="right") - first
    best_iou, best_gt = np.zeros(len(first)), np.full(len(first), -1)
    compared = np.flatnonzero(count)
    if not len(compared):
        return best_iou, best_gt
    first, count = first[compared], count[compared]
    # all pairs of a detection and a ground truth of its image, one detection's pairs in a row
    starts = np.cumsum(count) - count
    rows = np.repeat(np.arange(len(compared)), count)
    columns = np.arange(count.sum()) - starts[rows] + first[rows]
    ious = paired_ious(boxes.dets[compared[rows], :4], boxes.gts[columns], extra)
    best_iou[compared] = highest = np.maximum.reduceat(ious, starts)
    at_best = np.flatnonzero(ious == highest[rows])
    # the first of equals, as MATLAB's and NumPy's maximum choose it
    _, leading = np.unique(rows[at_best], return_index=True)
    best_gt[compared] = columns[at_best[leading]]
    return best_iou, best_gt


def _judge(
    boxes: _ClassBoxes, iou_thr: float, area_range: tuple[float, float] | None, extra: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """Which detections (by falling score) are right, which are wrong, and how many boxes are to be found."""
    iou, gt = _best_match(boxes, extra)
    out_of_play = boxes.gt_ignored.copy()
    counted = np.ones(len(iou), bool)  # whether a detection that hits nothing is held against the detector
    if area_range is not None:
        gt_areas, areas = box_areas(boxes.gts, extra), box_areas(boxes.dets, extra)
        out_of_play |= (gt_areas < area_range[0]) | (gt_areas >= area_range[1])
        counted = (areas >= area_range[0]) & (areas < area_range[1])
    hits = (gt >= 0) & (iou >= iou_thr)
    false_positive = ~hits & counted
    on_target = np.flatnonzero(hits)
    on_target = on_target[~out_of_play[gt[on_target]]]
    _, earliest = np.unique(gt[on_target], return_index=True)
    true_positive = np.zeros(len(iou), bool)
    true_positive[on_target[earliest]] = True
    false_positive[on_target] = ~true_positive[on_target]
    return true_positive, false_positive, int(np.count_nonzero(~out_of_play))


def _evaluate_class(
    boxes: _ClassBoxes,
    iou_thr: float,
    area_ranges: Sequence[tuple[float, float]] | None,
    extra: float,
    eval_mode: str,
) -> dict[str, Any]:
    ranges: Sequence[tuple[float, float] | None] = [None] if area_ranges is None else area_ranges
    judged = [_judge(boxes, iou_thr, area_range, extra) for area_range in ranges]
    right = np.cumsum([verdict[0] for verdict in judged], axis=1)
    wrong = np.cumsum([verdict[1] for verdict in judged], axis=1)
    num_gts = np.asarray([verdict[2] for verdict in judged])
    eps = np.finfo(np.float32).eps
    recall = right / np.maximum(num_gts[:, None], eps)
    precision = right / np.maximum(right + wrong, eps)
    ap = average_precision(recall, precision, eval_mode)
    result = {"num_gts": num_gts, "recall": recall, "precision": precision, "ap": ap}
    if area_ranges is None:
        result = {name: value[0] for name, value in result.items()}
    return {**result, "num_dets": len(boxes.dets)}


def eval_map(
    det_results: Sequence[Sequence[np.ndarray]],
    annotations: Sequence[Mapping[str, Any]],
    scale_ranges: Sequence[tuple[float, float]] | None = None,
    iou_thr: float = 0.5,
    dataset: Sequence[str] | None = None,
    logger: Any = None,
    use_legacy_coordinate: bool = False,
    eval_mode: str = "area",
) -> tuple[Any, list[dict[str, Any]]]:
    """Mean average precision over classes, as Pascal VOC defines it.

    Args:
        det_results: For each image, for each class, an array (n, 5) of x1, y1, x2, y2 and score.
        annotations: For each image a dict of `bboxes` (n, 4), `labels` (n,) and, where there are boxes that
            count neither way, `bboxes_ignore` (k, 4) and `labels_ignore` (k,).
        scale_ranges: Ranges of the square root of a box's area, such as `[(0, 32), (32, 96)]`, each evaluated
            for itself.
        iou_thr: Smallest IoU of a right detection.
        dataset: Class names for the table.
        logger: Where the table goes: a logger, its name, 'current', None to print, 'silent' for nowhere.
        use_legacy_coordinate: Widths are x2 - x1 + 1, as in VOC's development kit.
        eval_mode: 'area' (VOC 2010 and later) or '11points' (VOC 2007).

    Returns:
        The mean over classes that have ground truth (a list, one a range, where there are `scale_ranges`),
        and for each class a dict of `num_gts`, `num_dets`, `recall`, `precision` and `ap`.

    Raises:
        ValueError: Lengths differ, or the mode is unknown.
    """
    if len(det_results) != len(annotations):
        raise ValueError(
            f"{len(det_results)} images with detections, but {len(annotations)} with annotations."
        )
    extra = 1.0 if use_legacy_coordinate else 0.0
    areas = None if scale_ranges is None else [(low**2, high**2) for low, high in scale_ranges]
    results = [
        _evaluate_class(_gather_class(det_results, annotations, label), iou_thr, areas, extra, eval_mode)
        for label in range(len(det_results[0]) if det_results else 0)
    ]
    aps = np.asarray([np.atleast_1d(result["ap"]) for result in results])  # (classes, S)
    present = np.asarray([np.atleast_1d(result["num_gts"]) for result in results]) > 0
    means = [
        float(aps[present[:, column], column].mean()) if present[:, column].any() else 0.0
        for column in range(aps.shape[1] if len(results) else 1)
    ]
    if logger != "silent":
        print_map_summary(means, results, dataset, scale_ranges, logger)
    return (means[0] if scale_ranges is None else means), results


def print_map_summary(
    mean_ap: Sequence[float],
    results: Sequence[Mapping[str, Any]],
    dataset: Sequence[str] | None = None,
    scale_ranges: Sequence[tuple[float, float]] | None = None,
    logger: Any = None,
) -> None:
    """Print a table of ground truth boxes, detections, recall and AP of each class, one table a scale range.

    Args:
        mean_ap: Mean AP of each scale range (one where there are none).
        results: What `eval_map` found for each class.
        dataset: Class names.
        scale_ranges: The ranges of `eval_map`.
        logger: Where to print to, as in `eval_map`.
    """
    names = dataset or [str(label) for label in range(len(results))]
    for column, mean in enumerate(mean_ap):
        rows: list[list[object]] = [["class", "gts", "dets", "recall", "ap"]]
        for name, result in zip(names, results, strict=False):
            curve = np.atleast_2d(result["recall"])[column]
            recall = curve[-1] if curve.size else 0.0
            ap = np.atleast_1d(result["ap"])[column]
            gts = np.atleast_1d(result["num_gts"])[column]
            rows.append([name, gts, result["num_dets"], f"{recall:.3f}", f"{ap:.3f}"])
        rows.append(["mAP", "", "", "", f"{mean:.3f}"])
        if scale_ranges is not None:
            print_log(f"Scale range {scale_ranges[column]}", logger=logger)
        print_log("\n" + text_table(rows, footer=True), logger=logger)
