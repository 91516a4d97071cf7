"""The COCO metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.detection.evaluation.coco_base import CocoBasedMetric, Scene
from toolkit.detection.evaluation.coco_detections import CocoDetections
from toolkit.detection.evaluation.coco_eval import CocoCurves
from toolkit.detection.evaluation.recall import eval_recalls
from toolkit.detection.evaluation.table import text_table
from toolkit.detection.registry import METRICS
from toolkit.utils import BuildError, did_you_mean

METRIC_NAMES = ("bbox", "segm", "proposal", "proposal_fast")
# name: IoU threshold (None: the mean over all), range of area
_PRECISIONS: dict[str, tuple[float | None, str]] = {
    "mAP": (None, "all"),
    "mAP_50": (0.5, "all"),
    "mAP_75": (0.75, "all"),
    "mAP_s": (None, "small"),
    "mAP_m": (None, "medium"),
    "mAP_l": (None, "large"),
}


@METRICS.register_module()
class CocoMetric(CocoBasedMetric):
    """Average precision and recall of boxes, masks and proposals, as COCO defines them.

    Gives `coco/bbox_mAP`, `coco/bbox_mAP_50`, `coco/bbox_mAP_75`, `coco/bbox_mAP_s`, `coco/bbox_mAP_m` and
    `coco/bbox_mAP_l`, the same for `segm`, and for `proposal` `coco/AR@100`, …, `coco/AR_l@1000`. Numbers
    aren't rounded. One of which nothing is known, such as the AP of large objects where there is none, is -1.

    Which label is which category goes by name, whatever the order of the classes. Where fewer images than the
    annotation file has were evaluated, the numbers are over these, and the log says so.

    Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and https://cocodataset.org/#detection-eval.

    Args:
        ann_file: Annotation file in COCO's format. Without it, the data samples are the ground truth:
            `instances`, or `gt_instances` with `ignored_instances` as crowds.
        metric: 'bbox', 'segm', 'proposal' (recall whatever the class), 'proposal_fast' (the same, faster, and
            without ranges of area), or a list of these.
        classwise: Whether to give `coco/NAME_precision` for each class, and to log a table of the classes.
            With several metrics it is the last one's, and each has its own at `coco/METRIC_NAME_precision`.
        proposal_nums: How many of an image's best detections count, for recall and, the largest of them, for
            precision; only `mAP` is of 100 detections.
        iou_thrs: IoU thresholds; 0.5, 0.55, …, 0.95 by default.
        metric_items: What to report, such as `['mAP', 'AR@100']`.
        format_only: Write the files of `outfile_prefix` and evaluate nothing.
        outfile_prefix: Write detections to `PREFIX.bbox.json` and, where there are masks, `PREFIX.segm.json`,
            in COCO's format for results.
        file_client_args: MMDetection's former name of `backend_args`; refused.
        backend_args: Options for reading a remote annotation file, handed to fsspec.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: In place of 'coco' in the names.
        sort_categories: Accepted for MMDetection's sake: categories are matched by name, in any order.
        use_mp_eval: Accepted for MMDetection's sake: 'hotcoco' uses all cores anyhow.
        backend: What computes it: 'hotcoco', 'pycocotools' or 'faster_coco_eval'.

    Raises:
        BuildError: Unknown metric, item or backend, or `format_only` without `outfile_prefix`.
        DataError: The annotation file can't be used.
    """

    default_prefix = "coco"

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | Sequence[str] = "bbox",
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
        sort_categories: bool = False,
        use_mp_eval: bool = False,
        backend: str = "hotcoco",
    ) -> None:
        if format_only and outfile_prefix is None:
            raise BuildError(
                f"{type(self).__name__} with format_only=True needs outfile_prefix, where to write."
            )
        self.metrics = [metric] if isinstance(metric, str) else list(metric)
        self.classwise = classwise
        self.proposal_nums = sorted(set(proposal_nums))
        default = np.linspace(0.5, 0.95, 10)
        self.iou_thrs = default if iou_thrs is None else np.atleast_1d(np.asarray(iou_thrs, np.float64))
        self.metric_items = None if metric_items is None else list(metric_items)
        self.format_only = format_only
        self.needs_truth = not format_only
        self.outfile_prefix = outfile_prefix
        self._check_names()
        self.compares_masks = "segm" in self.metrics and not format_only
        super().__init__(ann_file, file_client_args, backend_args, collect_device, prefix, backend)

    def _check_names(self) -> None:
        for what, given, choices in (
            ("metric", self.metrics, METRIC_NAMES),
            ("metric_items", self.metric_items or (), self.item_names()),
        ):
            for name in given:
                if name not in choices:
                    hint = did_you_mean(name, choices) or "."
                    raise BuildError(
                        f"{type(self).__name__} got {what}={name!r}{hint} It takes {', '.join(choices)}."
                    )
        if not self.metrics or not self.proposal_nums:
            raise BuildError("A metric needs at least one metric, and one of proposal_nums.")

    def item_names(self) -> list[str]:
        """What `metric_items` may name."""
        places = range(len(self.proposal_nums))
        return [*_PRECISIONS, *(name for place in places for name in self._recalls(place))]

    def _recalls(self, place: int) -> dict[str, tuple[int, str]]:
        """Names of recalls at a place of `proposal_nums`, with the number and the range of area."""
        number = self.proposal_nums[place]
        names = {f"AR@{number}": (number, "all")}
        if number == self.proposal_nums[-1]:
            names |= {f"AR_{area[0]}@{number}": (number, area) for area in ("small", "medium", "large")}
        return names

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The metric's values over all images.

        Args:
            results: What `process` kept, of all processes.
        """
        if not results:
            return {}
        detections = self.detections_of(results)
        self._note_files(detections)
        if self.format_only:
            return {}
        scene = self.scene_of(results)
        values: dict[str, float] = {}
        for metric in self.metrics:
            self.logger.info(f"Evaluating {metric}...")
            if metric == "proposal_fast":
                values.update(self._fast_recalls(scene, results))
            else:
                values.update(self.evaluate_metric(metric, scene, detections))
        return values

    def _note_files(self, detections: CocoDetections) -> None:
        """Write the files of results, if they are asked for."""
        if self.outfile_prefix is None:
            return
        ids = (
            range(len(self.classes)) if self._file is None else self.find_categories(self._file, self.classes)
        )
        paths = detections.write(self.outfile_prefix, ids)
        self.logger.info(f"The detections were written to {' and '.join(paths)}")

    def evaluate_metric(self, metric: str, scene: Scene, detections: CocoDetections) -> dict[str, float]:
        """The values of 'bbox', 'segm' or 'proposal'."""
        if metric == "segm":
            found: Any = detections.masks(scene.image_ids, scene.category_ids)
            scene = self.scene_of_masks(scene)
        else:
            found = detections.boxes(scene.image_ids, scene.category_ids)
        pooled = metric == "proposal"
        curves = self.backend.evaluate(
            scene.truth,
            found,
            "bbox" if pooled else metric,
            img_ids=scene.image_ids,
            cat_ids=scene.category_ids,
            max_dets=self.proposal_nums,
            iou_thrs=self.iou_thrs,
            by_category=not pooled,
        )
        recalls: dict[str, tuple[int, str]] = {}
        for place in range(len(self.proposal_nums)):
            recalls |= self._recalls(place)
        items = self.metric_items or list(recalls if pooled else _PRECISIONS)
        chosen = {
            name: curves.ar(*recalls[name]) if name in recalls else curves.ap(*_PRECISIONS[name])
            for name in items
        }
        self.log_row(chosen)
        if pooled:
            return chosen
        values = {f"{metric}_{name}": value for name, value in chosen.items()}
        if self.classwise:
            values |= self._by_class(metric, curves, scene)
        summary = " ".join(f"{curves.ap(*which):.3f}" for which in _PRECISIONS.values())
        self.logger.info(f"{metric}_mAP_copypaste: {summary}")
        return values

    def log_row(self, values: Mapping[str, float]) -> None:
        row = [f"{value:.3f}" for value in values.values()]
        self.logger.info("\n" + text_table([list(values), row]))

    def _by_class(self, metric: str, curves: CocoCurves, scene: Scene) -> dict[str, float]:
        """AP of each class, NaN where there is no object of it; logs the table."""
        rows: list[list[object]] = [["category", *_PRECISIONS]]
        values: dict[str, float] = {}
        for name, cat_id in zip(self.classes, scene.category_ids, strict=True):
            aps = [curves.ap(thr, area, cat_id) for thr, area in _PRECISIONS.values()]
            aps = [math.nan if ap == -1 else ap for ap in aps]
            rows.append([name, *(f"{ap:.3f}" for ap in aps)])
            values[f"{name}_precision"] = aps[0]
            if len(self.metrics) > 1:
                values[f"{metric}_{name}_precision"] = aps[0]
        self.logger.info("\n" + text_table(rows))
        return values

    def _fast_recalls(self, scene: Scene, results: list[dict[str, Any]]) -> dict[str, float]:
        boxes: dict[int, list[list[float]]] = {number: [] for number in scene.image_ids}
        for one in scene.truth.dataset["annotations"]:
            if one["image_id"] in boxes and not one.get("ignore") and not one["iscrowd"]:
                x, y, w, h = one["bbox"]
                boxes[one["image_id"]].append([x, y, x + w, y + h])
        recalls = eval_recalls(
            [np.asarray(boxes[number], np.float32).reshape(-1, 4) for number in scene.image_ids],
            [np.column_stack([result["bboxes"], result["scores"]]) for result in results],
            self.proposal_nums,
            self.iou_thrs.tolist(),
            logger=self.logger,
        ).mean(axis=1)
        return {f"AR@{n}": float(recall) for n, recall in zip(self.proposal_nums, recalls, strict=True)}
