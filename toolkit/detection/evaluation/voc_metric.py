"""The Pascal VOC metric."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.detection.evaluation.arrays import as_array
from toolkit.detection.evaluation.mean_ap import EVAL_MODES, eval_map
from toolkit.detection.evaluation.recall import eval_recalls
from toolkit.detection.registry import METRICS
from toolkit.evaluator import BaseMetric
from toolkit.logging import MMLogger
from toolkit.utils import DataError, did_you_mean

METRIC_NAMES = ("mAP", "recall")
_USUAL_MODE = {"VOC2007": "11points", "VOC2012": "area"}


@METRICS.register_module()
class VOCMetric(BaseMetric):
    """Mean average precision or recall, as Pascal VOC defines them.

    Gives `pascal_voc/mAP` (mean over thresholds and classes) and `pascal_voc/AP50` (one a threshold), and
    prints a table of the classes. With `scale_ranges` it gives `pascal_voc/AP50_0_32` (one a range). With
    `metric='recall'` it gives `recall@100@0.5` (one for each number of boxes and threshold) and, with several
    thresholds, their mean `AR@100`.

    Boxes of `ignored_instances` (VOC's difficult ones) need not be found, and finding them is no mistake.
    Widths are x2 - x1 + 1, as in VOC's development kit. See `eval_map` for the definition.

    Args:
        iou_thrs: IoU thresholds.
        scale_ranges: Ranges of the square root of a box's area in pixels, evaluated each for itself.
        metric: 'mAP' or 'recall'.
        proposal_nums: How many of an image's best boxes count for recall.
        eval_mode: '11points' (VOC 2007) or 'area' (VOC 2010 and later).
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: In place of 'pascal_voc' in the names.

    Raises:
        ValueError: Unknown metric or mode.
    """

    default_prefix = "pascal_voc"

    def __init__(
        self,
        iou_thrs: float | Sequence[float] = 0.5,
        scale_ranges: Sequence[tuple[float, float]] | None = None,
        metric: str | Sequence[str] = "mAP",
        proposal_nums: Sequence[int] = (100, 300, 1000),
        eval_mode: str = "11points",
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        names = [metric] if isinstance(metric, str) else list(metric)
        for value, choices in ((names[0], METRIC_NAMES), (eval_mode, EVAL_MODES)):
            if value not in choices:
                hint = did_you_mean(value, choices) or "."
                raise ValueError(f"VOCMetric got {value!r}{hint} It takes one of {', '.join(choices)}.")
        if len(names) != 1:
            raise ValueError(f"VOCMetric computes one metric at a time, not {names}; list two evaluators.")
        self.iou_thrs = [iou_thrs] if isinstance(iou_thrs, (int, float)) else list(iou_thrs)
        self.scale_ranges = scale_ranges
        self.metric = names[0]
        self.proposal_nums = tuple(proposal_nums)
        self.eval_mode = eval_mode

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep boxes, labels and scores of a batch.

        Args:
            data_batch: Not used.
            data_samples: `DetDataSample`s as dicts, with `gt_instances`, `ignored_instances` and
                `pred_instances` in pixels of the original image.

        Raises:
            DataError: There is no ground truth in them.
        """
        for sample in data_samples:
            if "gt_instances" not in sample or "bboxes" not in sample["gt_instances"]:
                raise DataError(
                    "VOCMetric finds no ground truth boxes in the batch. Add dict(type='LoadAnnotations', "
                    "with_bbox=True) to the test pipeline, after Resize."
                )
            truth, ignored = sample["gt_instances"], sample.get("ignored_instances") or {}
            predicted = sample["pred_instances"]
            self.results.append(
                {
                    "bboxes": as_array(truth["bboxes"], (-1, 4)),
                    "labels": as_array(truth["labels"], -1),
                    "bboxes_ignore": as_array(ignored.get("bboxes", ()), (-1, 4)),
                    "labels_ignore": as_array(ignored.get("labels", ()), -1),
                    "dets": np.column_stack(
                        [as_array(predicted["bboxes"], (-1, 4)), as_array(predicted["scores"], -1)]
                    ),
                    "det_labels": as_array(predicted["labels"], -1),
                }
            )

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The metric's values over all images.

        Args:
            results: What `process` kept, of all processes.
        """
        return self._mean_ap(results) if self.metric == "mAP" else self._recall(results)

    def _mean_ap(self, results: list[dict[str, Any]]) -> dict[str, float]:
        logger = MMLogger.get_current_instance()
        meta = self.dataset_meta or {}
        self._warn_of_unusual_mode(meta.get("dataset_type"))
        classes = meta["classes"]
        dets = [
            [result["dets"][result["det_labels"] == label] for label in range(len(classes))]
            for result in results
        ]
        values: dict[str, float] = {}
        means = []
        for iou_thr in self.iou_thrs:
            logger.info(f"\n{'-' * 15}iou_thr: {iou_thr}{'-' * 15}")
            mean, _ = eval_map(
                dets,
                results,
                scale_ranges=self.scale_ranges,
                iou_thr=iou_thr,
                dataset=classes,
                logger=logger,
                use_legacy_coordinate=True,
                eval_mode=self.eval_mode,
            )
            name = f"AP{round(iou_thr * 100):02d}"
            if self.scale_ranges is None:
                values[name] = mean
                means.append(mean)
            else:
                names = [f"{name}_{low:g}_{high:g}" for low, high in self.scale_ranges]
                values.update(zip(names, mean, strict=True))
                means.extend(mean)
        return {"mAP": float(np.mean(means)), **values}

    def _recall(self, results: list[dict[str, Any]]) -> dict[str, float]:
        recalls = eval_recalls(
            [result["bboxes"] for result in results],
            [result["dets"] for result in results],
            self.proposal_nums,
            self.iou_thrs,
            logger=MMLogger.get_current_instance(),
            use_legacy_coordinate=True,
        )
        values = {
            f"recall@{number}@{thr}": float(recalls[row, column])
            for row, number in enumerate(self.proposal_nums)
            for column, thr in enumerate(self.iou_thrs)
        }
        if len(self.iou_thrs) > 1:
            values.update(
                {f"AR@{number}": float(recalls[row].mean()) for row, number in enumerate(self.proposal_nums)}
            )
        return values

    def _warn_of_unusual_mode(self, kind: str | None) -> None:
        usual = _USUAL_MODE.get(kind or "", self.eval_mode)
        if usual != self.eval_mode:
            warnings.warn(
                f"{kind} is usually evaluated with eval_mode={usual!r}; this uses {self.eval_mode!r}.",
                stacklevel=2,
            )
