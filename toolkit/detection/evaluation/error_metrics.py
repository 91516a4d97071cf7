"""Metrics that say what a detector gets wrong."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.detection.evaluation.coco_base import CocoBasedMetric, Scene
from toolkit.detection.evaluation.coco_detections import CocoDetections
from toolkit.detection.evaluation.error_analysis import (
    TIDE_ERRORS,
    TIDE_EXTRA,
    ClassScores,
    TideErrors,
    confusion_of,
    pooled,
    scores_of,
    tide_of,
)
from toolkit.detection.evaluation.error_plots import (
    confusion_figure,
    picture_path,
    precision_recall_figure,
    save_figure,
)
from toolkit.detection.evaluation.table import text_table
from toolkit.detection.registry import METRICS
from toolkit.utils import BuildError

IOU_TYPES = ("bbox", "segm")
_SHOWN_CONFUSIONS = 10
_DESCRIPTIONS = {
    "Cls": "right place, wrong class",
    "Loc": "right class, place not good enough",
    "Both": "wrong class and place not good enough",
    "Dupe": "found before by a better detection",
    "Bkg": "nothing there",
    "Miss": "object without any detection",
    "FP": "all false positives",
    "FN": "all objects not found",
}


class ErrorMetric(CocoBasedMetric):
    """Base of the metrics of this module.

    Args:
        ann_file: Annotation file in COCO's format; without it, the data samples are the ground truth, as in
            `CocoMetric`.
        iou_type: 'bbox' or 'segm'.
        iou_thr: Smallest IoU of a match.
        backend_args: Options for reading a remote annotation file, handed to fsspec.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: In place of the class's own prefix of the names.

    Raises:
        BuildError: Another `iou_type`, or a threshold that isn't between 0 and 1.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        iou_type: str = "bbox",
        iou_thr: float = 0.5,
        backend_args: Mapping[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        if iou_type not in IOU_TYPES:
            raise BuildError(f"{type(self).__name__} got iou_type={iou_type!r}; it is 'bbox' or 'segm'.")
        if not 0 < iou_thr <= 1:
            raise BuildError(f"{type(self).__name__} got iou_thr={iou_thr!r}; it is between 0 and 1.")
        self.iou_type = iou_type
        self.iou_thr = iou_thr
        self.compares_masks = iou_type == "segm"
        super().__init__(ann_file, backend_args=backend_args, collect_device=collect_device, prefix=prefix)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The metric's values over all images.

        Args:
            results: What `process` kept, of all processes.
        """
        if not results:
            return {}
        scene = self.scene_of(results)
        if self.compares_masks:
            scene = self.scene_of_masks(scene)
        return self.analyse(scene, self.detections_of(results))

    @abstractmethod
    def analyse(self, scene: Scene, detections: CocoDetections) -> dict[str, float]:
        """The values, from ground truth and detections."""

    def _save(self, figure: Any, path: str) -> None:
        save_figure(figure, path)
        self.logger.info(f"{self.name} drew {path}")


@METRICS.register_module(name=["DetConfusionMatrix", "ConfusionMatrix"])
class DetConfusionMatrix(ErrorMetric):
    """Which class a detector takes for which, what it misses and what it invents.

    Gives `confusion/accuracy`, the part of the matched objects whose class is right, `confusion/missed`, the
    part of the objects without a match, and `confusion/invented`, the part of the detections without one.
    Logs the most frequent confusions and draws the matrix. See `confusion_matrix` for the matching.

    Args:
        ann_file: See `ErrorMetric`.
        score_thr: Lowest score of a detection that counts.
        iou_thr: Smallest IoU of a match.
        iou_type: 'bbox' or 'segm'.
        out_file: Where the picture goes; `confusion_matrix.png` beside the log file by default.
        **kwargs: Passed on to `ErrorMetric`.

    Attributes:
        matrix: (K + 1, K + 1) int64 of the last evaluation: rows are true classes, columns predicted ones;
            the last row holds detections of nothing, the last column objects that weren't found.
    """

    default_prefix = "confusion"

    def __init__(
        self,
        ann_file: str | None = None,
        score_thr: float = 0.3,
        iou_thr: float = 0.5,
        iou_type: str = "bbox",
        out_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file, iou_type, iou_thr, **kwargs)
        self.score_thr = score_thr
        self.out_file = out_file
        self.matrix: np.ndarray | None = None

    def analyse(self, scene: Scene, detections: CocoDetections) -> dict[str, float]:
        """See the class."""
        self.matrix = matrix = confusion_of(scene, detections, self.iou_type, self.score_thr, self.iou_thr)
        self._log_confusions(matrix)
        path = picture_path(self.out_file, "confusion_matrix.png")
        if path is not None:
            title = f"{self.iou_type}, score ≥ {self.score_thr:g}, IoU ≥ {self.iou_thr:g}"
            self._save(confusion_figure(matrix, self.classes, title), path)
        matched = matrix[:-1, :-1]
        return {
            "accuracy": _part(np.trace(matched), matched.sum()),
            "missed": _part(matrix[:-1, -1].sum(), matrix[:-1].sum()),
            "invented": _part(matrix[-1, :-1].sum(), matrix[:, :-1].sum()),
        }

    def _log_confusions(self, matrix: np.ndarray) -> None:
        names = [*self.classes, "(nothing)"]
        wrong = matrix.copy()
        np.fill_diagonal(wrong, 0)
        sums = matrix.sum(axis=1)
        rows: list[list[object]] = [["true", "taken for", "number", "part"]]
        for place in np.argsort(-wrong, axis=None, kind="stable")[:_SHOWN_CONFUSIONS]:
            row, column = np.unravel_index(place, wrong.shape)
            if wrong[row, column]:
                number = int(wrong[row, column])
                rows.append([names[row], names[column], number, f"{_part(number, sums[row]):.3f}"])
        if len(rows) > 1:
            self.logger.info("The most frequent confusions:\n" + text_table(rows))


def _part(number: Any, whole: Any) -> float:
    return float(number) / float(whole) if whole else 0.0


@METRICS.register_module()
class PrecisionRecallMetric(ErrorMetric):
    """Precision, recall and F1 of the detections that a user would see, and the score at which to cut.

    Gives `pr/precision`, `pr/recall` and `pr/f1` at `score_thr`, each the mean over the classes that have
    objects, and `pr/best_f1` of all classes together with `pr/best_score_thr`, where it is reached. Logs a
    table of the classes and draws the curves.

    Detections are matched by COCO's rules, class by class; crowds count neither way.

    Args:
        ann_file: See `ErrorMetric`.
        score_thr: Lowest score of a detection that counts.
        iou_thr: Smallest IoU of a right detection.
        iou_type: 'bbox' or 'segm'.
        out_file: Where the picture goes; `precision_recall.png` beside the log file by default.
        **kwargs: Passed on to `ErrorMetric`.
    """

    default_prefix = "pr"

    def __init__(
        self,
        ann_file: str | None = None,
        score_thr: float = 0.5,
        iou_thr: float = 0.5,
        iou_type: str = "bbox",
        out_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file, iou_type, iou_thr, **kwargs)
        self.score_thr = score_thr
        self.out_file = out_file

    def analyse(self, scene: Scene, detections: CocoDetections) -> dict[str, float]:
        """See the class."""
        classes = scores_of(scene, detections, self.iou_type, self.iou_thr)
        present = [one.at(self.score_thr) for one in classes if one.num_gts]
        means = np.asarray(present or [(0.0, 0.0, 0.0)]).mean(axis=0)
        best_f1, best_score = pooled(classes).best_f1()
        self._log_classes(classes, means)
        path = picture_path(self.out_file, "precision_recall.png")
        if path is not None:
            title = f"{self.iou_type}, IoU ≥ {self.iou_thr:g}"
            self._save(precision_recall_figure(classes, self.classes, self.score_thr, title), path)
        values = dict(zip(("precision", "recall", "f1"), means.tolist(), strict=True))
        return {**values, "best_f1": best_f1, "best_score_thr": best_score}

    def _log_classes(self, classes: Sequence[ClassScores], means: np.ndarray) -> None:
        header: list[object] = [
            "class",
            "objects",
            "detections",
            "precision",
            "recall",
            "f1",
            "best f1",
            "from score",
        ]
        rows: list[list[object]] = [header]
        for name, one in zip(self.classes, classes, strict=True):
            shown = int(np.count_nonzero(one.scores >= self.score_thr))
            figures = [f"{value:.3f}" for value in (*one.at(self.score_thr), *one.best_f1())]
            rows.append([name, one.num_gts, shown, *figures])
        rows.append(["mean", "", "", *(f"{value:.3f}" for value in means), "", ""])
        self.logger.info(
            f"At score {self.score_thr:g} and IoU {self.iou_thr:g}:\n" + text_table(rows, footer=True)
        )


@METRICS.register_module()
class TIDEMetric(ErrorMetric):
    """TIDE's kinds of errors, and the average precision that each costs.

    Gives `tide/AP` at `iou_thr` and, for each of 'Cls', 'Loc', 'Both', 'Dupe', 'Bkg', 'Miss', 'FP' and 'FN',
    the gain in AP were all such errors mended, from 0 to 1. The gains don't add up: errors hide others. Logs
    a table with the number of errors of each kind.

    Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020.

    Args:
        ann_file: See `ErrorMetric`.
        iou_thr: Smallest IoU of a right detection.
        bg_thr: Smallest IoU of a detection that isn't of background.
        iou_type: 'bbox' or 'segm'.
        **kwargs: Passed on to `ErrorMetric`.
    """

    default_prefix = "tide"

    def __init__(
        self,
        ann_file: str | None = None,
        iou_thr: float = 0.5,
        bg_thr: float = 0.1,
        iou_type: str = "bbox",
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file, iou_type, iou_thr, **kwargs)
        if not 0 <= bg_thr < iou_thr:
            raise BuildError(f"TIDEMetric got bg_thr={bg_thr!r}; it is between 0 and iou_thr={iou_thr!r}.")
        self.bg_thr = bg_thr

    def analyse(self, scene: Scene, detections: CocoDetections) -> dict[str, float]:
        """See the class."""
        errors = tide_of(scene, detections, self.iou_type, self.iou_thr, self.bg_thr)
        self._log_errors(errors)
        return {"AP": errors.ap, **errors.delta_ap}

    def _log_errors(self, errors: TideErrors) -> None:
        rows: list[list[object]] = [["error", "what it is", "number", "AP lost"]]
        for name in (*TIDE_ERRORS, *TIDE_EXTRA):
            number = errors.counts.get(name, "")
            rows.append([name, _DESCRIPTIONS[name], number, f"{errors.delta_ap[name]:.3f}"])
        self.logger.info(f"TIDE at IoU {self.iou_thr:g} (AP {errors.ap:.3f}):\n" + text_table(rows))
