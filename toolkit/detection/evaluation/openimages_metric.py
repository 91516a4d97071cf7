"""The Open Images metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.detection.evaluation.arrays import as_array
from toolkit.detection.evaluation.mean_ap import average_precision, print_map_summary
from toolkit.detection.evaluation.overlaps import pairwise_ious
from toolkit.detection.registry import METRICS
from toolkit.evaluator import BaseMetric
from toolkit.logging import MMLogger
from toolkit.utils import BuildError, DataError


class _ClassResult(NamedTuple):
    """The detections of a class in an image, and its objects."""

    scores: np.ndarray  # (D,)
    right: np.ndarray  # (D,) bool
    num_gts: int


@METRICS.register_module()
class OpenImagesMetric(BaseMetric):
    """Mean average precision as Open Images defines it.

    An object is one of the classes above its own, too, and so is a detection. A detection of a class that
    wasn't looked for in the image doesn't count. A box marked as a group is found by all detections that lie
    in it, of which the best counts as one; a group that isn't found is held against the detector.

    Gives `openimages/AP50` (one a threshold) and their mean `openimages/mAP`, and logs a table of the
    classes.

    https://storage.googleapis.com/openimages/web/evaluation.html

    Args:
        iou_thrs: IoU thresholds.
        ioa_thrs: For each, the part of a detection that must lie in a group.
        scale_ranges: Not supported; MMDetection's argument.
        use_group_of: Whether groups are treated as such, or as single objects.
        get_supercategory: Whether objects and detections are of the classes above theirs.
        filter_labels: Whether to leave out detections of classes that weren't looked for.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: In place of 'openimages' in the names.

    Raises:
        BuildError: The thresholds don't fit together, or there are `scale_ranges`.
    """

    default_prefix = "openimages"

    def __init__(
        self,
        iou_thrs: float | Sequence[float] = 0.5,
        ioa_thrs: float | Sequence[float] | None = 0.5,
        scale_ranges: Sequence[tuple[float, float]] | None = None,
        use_group_of: bool = True,
        get_supercategory: bool = True,
        filter_labels: bool = True,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.iou_thrs = [iou_thrs] if isinstance(iou_thrs, (int, float)) else list(iou_thrs)
        groups = [ioa_thrs] if ioa_thrs is None or isinstance(ioa_thrs, (int, float)) else list(ioa_thrs)
        if len(self.iou_thrs) != len(groups):
            raise BuildError(
                f"OpenImagesMetric got {len(groups)} ioa_thrs for {len(self.iou_thrs)} iou_thrs."
            )
        if scale_ranges is not None:
            raise BuildError("OpenImagesMetric doesn't evaluate scale_ranges: Open Images defines none.")
        if use_group_of and any(thr is None for thr in groups):
            raise BuildError("OpenImagesMetric with use_group_of=True needs ioa_thrs.")
        self.ioa_thrs = groups
        self.use_group_of = use_group_of
        self.get_supercategory = get_supercategory
        self.filter_labels = filter_labels

    @property
    def _relations(self) -> np.ndarray:
        matrix = (self.dataset_meta or {}).get("RELATION_MATRIX")
        if matrix is None:
            raise DataError(
                "OpenImagesMetric needs metainfo['RELATION_MATRIX'], as OpenImagesDataset has it."
            )
        return np.asarray(matrix) > 0

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the objects and detections of a batch, with those of the classes above theirs.

        Args:
            data_batch: Not used.
            data_samples: `DetDataSample`s as dicts, with `instances`, `pred_instances` in pixels of the
                original image and, where there are, `image_level_labels`.

        Raises:
            DataError: There are no `instances`.
        """
        relations = self._relations
        for sample in data_samples:
            if "instances" not in sample:
                raise DataError("OpenImagesMetric needs 'instances': name it in meta_keys of PackDetInputs.")
            objects = sample["instances"]
            labels = np.asarray([one["bbox_label"] for one in objects], np.int64)
            boxes = np.asarray([one["bbox"] for one in objects], np.float32).reshape(-1, 4)
            groups = np.asarray([one["is_group_of"] for one in objects], bool)
            places, labels = self._with_classes_above(labels, relations)
            asked = sample.get("image_level_labels")
            allowed = set(labels.tolist()) | set(() if asked is None else np.asarray(asked).tolist())
            predicted = sample["pred_instances"]
            found, found_labels = self._with_classes_above(as_array(predicted["labels"], -1), relations)
            own = np.arange(len(found)) < len(predicted["labels"])
            known = np.asarray([label in allowed for label in found_labels.tolist()], bool)
            # what a detection also is counts only where it was looked for
            keep = known | (own & (not self.filter_labels))
            scores, corners = as_array(predicted["scores"], -1), as_array(predicted["bboxes"], (-1, 4))
            self.results.append(
                {
                    "labels": labels,
                    "bboxes": boxes[places],
                    "groups": groups[places],
                    "det_labels": found_labels[keep],
                    "dets": np.column_stack([corners, scores])[found[keep]],
                }
            )

    def _with_classes_above(self, labels: np.ndarray, relations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places and labels of all things as what they are, and then as what else they are."""
        labels = labels.astype(np.int64)
        places = np.arange(len(labels))
        if not self.get_supercategory or not len(labels):
            return places, labels
        rows, above = np.nonzero(relations[labels])
        other = above != labels[rows]
        return np.concatenate([places, rows[other]]), np.concatenate([labels, above[other]])

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The metric's values over all images.

        Args:
            results: What `process` kept, of all processes.
        """
        values: dict[str, float] = {}
        for iou_thr, ioa_thr in zip(self.iou_thrs, self.ioa_thrs, strict=True):
            values[f"AP{round(iou_thr * 100):02d}"] = self._mean_ap(results, iou_thr, ioa_thr)
        return {**values, "mAP": float(np.mean(list(values.values())))}

    def _mean_ap(
        self, results: Sequence[Mapping[str, np.ndarray]], iou_thr: float, ioa_thr: float | None
    ) -> float:
        classes = (self.dataset_meta or {})["classes"]
        collected: list[list[_ClassResult]] = [[] for _ in classes]
        for result in results:
            for label in np.unique(np.concatenate([result["labels"], result["det_labels"]])):
                own = result["labels"] == label
                dets = result["dets"][result["det_labels"] == label]
                groups = result["groups"][own] & self.use_group_of
                collected[label].append(_judge(dets, result["bboxes"][own], groups, iou_thr, ioa_thr or 0.0))
        rows = [_evaluate(images) for images in collected]
        present = [row["ap"] for row in rows if row["num_gts"]]
        mean = float(np.mean(present)) if present else 0.0
        logger = MMLogger.get_current_instance()
        logger.info(f"IoU {iou_thr}, part within a group {ioa_thr}")
        print_map_summary([mean], rows, classes, logger=logger)
        return mean


def _judge(
    dets: np.ndarray, boxes: np.ndarray, groups: np.ndarray, iou_thr: float, ioa_thr: float
) -> _ClassResult:
    """Which detections (D, 5) of a class find a box (G, 4) of an image; groups come last.

    A detection that finds nothing but lies in a group is taken out; the group stands in for the best of
    these, or as a wrong detection of score 0 where there is none.
    """
    dets = dets[np.argsort(-dets[:, 4], kind="stable")]
    right = np.zeros(len(dets), bool)
    single, group = boxes[~groups], boxes[groups]
    if len(single) and len(dets):
        ious = pairwise_ious(dets[:, :4], single)
        best, place = ious.max(axis=1), ious.argmax(axis=1)
        hits = np.flatnonzero(best >= iou_thr)
        _, first = np.unique(place[hits], return_index=True)
        right[hits[first]] = True
    scores = dets[:, 4]
    if len(group):
        inside = np.full(len(dets), -1)
        if len(dets):
            parts = _parts_within(dets[:, :4], group)
            inside = np.where((parts.max(axis=1) >= ioa_thr) & ~right, parts.argmax(axis=1), -1)
        found, first = np.unique(inside[inside >= 0], return_index=True)
        group_scores, group_right = np.zeros(len(group)), np.zeros(len(group), bool)
        group_scores[found] = scores[inside >= 0][first]
        group_right[found] = True
        scores = np.concatenate([scores[inside < 0], group_scores])
        right = np.concatenate([right[inside < 0], group_right])
    return _ClassResult(scores, right, len(boxes))


def _parts_within(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N, M) the part of each of N boxes that lies in each of M; 0 for boxes without area."""
    first, second = first.astype(np.float64)[:, None], second.astype(np.float64)
    corner = np.minimum(first[..., 2:], second[:, 2:]) - np.maximum(first[..., :2], second[:, :2])
    shared = np.prod(np.maximum(corner, 0), axis=2)
    area = np.prod(first[..., 2:] - first[..., :2], axis=2)
    return np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)


def _evaluate(images: Sequence[_ClassResult]) -> dict[str, Any]:
    """Recall, precision and AP of a class, as `eval_map` gives them."""
    scores = np.concatenate([np.zeros(0), *(image.scores for image in images)])
    right = np.concatenate([np.zeros(0, bool), *(image.right for image in images)])
    right = right[np.argsort(-scores, kind="stable")]
    num_gts = sum(image.num_gts for image in images)
    found = np.cumsum(right)
    recall = found / max(num_gts, np.finfo(np.float32).eps)
    precision = found / np.arange(1, len(found) + 1)
    ap = average_precision(recall, precision) if len(found) else 0.0
    return {"num_gts": num_gts, "num_dets": len(scores), "recall": recall, "precision": precision, "ap": ap}
