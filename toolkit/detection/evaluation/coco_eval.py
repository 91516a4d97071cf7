"""COCO's evaluation: the packages that compute it, and its statistics.

Shapes: T IoU thresholds, R = 101 recalls, K categories, A = 4 ranges of area, M limits of detections an
image.
A statistic of which nothing is known, such as the AP of large objects where there is none, is -1.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.utils import BuildError, did_you_mean

AREAS = ("all", "small", "medium", "large")
# where each package has COCO and its evaluation
BACKENDS = {
    "hotcoco": ("hotcoco.COCO", "hotcoco.COCOeval"),
    "pycocotools": ("pycocotools.coco.COCO", "pycocotools.cocoeval.COCOeval"),
    "faster_coco_eval": ("faster_coco_eval.COCO", "faster_coco_eval.COCOeval_faster"),
}
# COCO's AP is that of 100 detections an image, however many more the limits allow
_USUAL_LIMIT = 100


@dataclass(frozen=True)
class CocoCurves:
    """Precision and recall of an evaluation, from which all its statistics are means.

    Args:
        precision: (T, R, K, A, M).
        recall: (T, K, A, M).
        iou_thrs: (T,)
        max_dets: Limits of detections an image, rising.
        cat_ids: The K categories; None where they are pooled.
    """

    precision: np.ndarray
    recall: np.ndarray
    iou_thrs: np.ndarray
    max_dets: tuple[int, ...]
    cat_ids: tuple[int, ...] | None

    def ap(self, iou_thr: float | None = None, area: str = "all", cat_id: int | None = None) -> float:
        """Average precision.

        The mean over all thresholds, areas and categories is of 100 detections an image; every other number
        is of the highest limit. So COCO's own summary has it.

        Args:
            iou_thr: One threshold in place of the mean over all; -1 comes out where it wasn't evaluated.
            area: One of `AREAS`.
            cat_id: One category in place of the mean over all.
        """
        limit = -1
        if iou_thr is None and area == "all" and cat_id is None and _USUAL_LIMIT in self.max_dets:
            limit = self.max_dets.index(_USUAL_LIMIT)
        chosen = slice(None) if iou_thr is None else np.flatnonzero(np.isclose(self.iou_thrs, iou_thr))
        values = self.precision[chosen][..., AREAS.index(area), limit]  # (T, R, K)
        if cat_id is not None:
            values = values[..., (self.cat_ids or ()).index(cat_id)]
        return _mean_of_known(values)

    def ar(self, max_dets: int, area: str = "all") -> float:
        """Average recall of the best `max_dets` detections of each image."""
        return _mean_of_known(self.recall[:, :, AREAS.index(area), self.max_dets.index(max_dets)])


def _mean_of_known(values: np.ndarray) -> float:
    known = values[values > -1]
    return float(known.mean()) if known.size else -1.0


class CocoBackend:
    """One of the packages that read COCO's format and evaluate it; imported here and not before.

    Args:
        name: 'hotcoco', 'pycocotools' or 'faster_coco_eval' (hyphens are as good).

    Raises:
        BuildError: Unknown name, or the package isn't installed.
    """

    def __init__(self, name: str) -> None:
        name = name.replace("-", "_")
        if name not in BACKENDS:
            hint = did_you_mean(name, BACKENDS) or "."
            raise BuildError(f"CocoMetric got backend={name!r}{hint} It takes one of {', '.join(BACKENDS)}.")
        self.name = name
        self._coco, self._evaluation = (self._find(path) for path in BACKENDS[name])

    def _find(self, path: str) -> Any:
        module, _, attribute = path.rpartition(".")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            package = self.name.replace("_", "-")
            raise BuildError(
                f"CocoMetric's backend={self.name!r} can't be imported ({error}). Install it with "
                f"'pip install {package}', or use backend='hotcoco'."
            ) from error

    def dataset(self, content: Mapping[str, Any]) -> Any:
        """A `COCO` object of `images`, `categories` and `annotations`."""
        coco = self._coco()
        coco.dataset = dict(content)
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        return coco

    def prepare(
        self,
        truth: Any,
        detections: np.ndarray | list[dict[str, Any]],
        iou_type: str,
        *,
        img_ids: Sequence[int],
        cat_ids: Sequence[int],
        max_dets: Sequence[int],
        iou_thrs: np.ndarray,
        by_category: bool = True,
    ) -> Any:
        """The package's evaluation, which hasn't begun.

        Args:
            truth: What `dataset` gave.
            detections: (N, 7) float64 of image id, x, y, width, height, score and category id; or COCO's list
                of results, for masks.
            iou_type: 'bbox' or 'segm'.
            img_ids: Images to look at.
            cat_ids: Categories to look at.
            max_dets: Limits of detections an image.
            iou_thrs: (T,) IoU thresholds.
            by_category: Whether a detection must be of the right category.
        """
        with contextlib.redirect_stdout(io.StringIO()):
            found = truth.loadRes(detections) if len(detections) else self._nothing_of(truth)
            evaluation = self._evaluation(truth, found, iou_type)
        params = evaluation.params
        params.imgIds, params.catIds = sorted(img_ids), sorted(cat_ids)
        params.maxDets, params.iouThrs = sorted(set(max_dets)), iou_thrs
        params.useCats = by_category
        return evaluation

    def evaluate(self, *args: Any, **kwargs: Any) -> CocoCurves:
        """Compare detections with the ground truth. It takes what `prepare` takes."""
        evaluation = self.prepare(*args, **kwargs)
        params = evaluation.params
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
        curves = evaluation.eval
        return CocoCurves(
            np.asarray(curves["precision"]),
            np.asarray(curves["recall"]),
            np.asarray(params.iouThrs),
            tuple(params.maxDets),
            tuple(params.catIds) if params.useCats else None,
        )

    def _nothing_of(self, truth: Any) -> Any:
        """No detection at all, which `loadRes` of some packages doesn't take."""
        return self.dataset({**truth.dataset, "annotations": []})
