"""The COCO metric."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from toolkit.detection.datasets.coco_format import CocoFile, category_ids, read_coco_file, shown
from toolkit.detection.evaluation.arrays import as_array
from toolkit.detection.evaluation.coco_detections import CocoDetections
from toolkit.detection.evaluation.coco_eval import CocoBackend, CocoCurves
from toolkit.detection.evaluation.coco_truth import (
    as_numbers,
    content_of_file,
    content_of_samples,
    encode_masks,
    truth_of_sample,
)
from toolkit.detection.evaluation.recall import eval_recalls
from toolkit.detection.evaluation.table import text_table
from toolkit.detection.registry import METRICS
from toolkit.evaluator import BaseMetric
from toolkit.logging import MMLogger
from toolkit.utils import BuildError, DataError, did_you_mean

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
_FIX = (
    "Set metainfo=dict(classes=(…)) on the dataset, or leave ann_file out to evaluate against the "
    "annotations that the dataset loads."
)


@METRICS.register_module()
class CocoMetric(BaseMetric):
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
        backend: What computes it: 'hotcoco', 'pycocotools' or 'faster-coco-eval'.

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
        super().__init__(collect_device=collect_device, prefix=prefix)
        if file_client_args is not None:
            raise BuildError("CocoMetric got file_client_args; its name is backend_args now.")
        if format_only and outfile_prefix is None:
            raise BuildError("CocoMetric with format_only=True needs outfile_prefix, where to write.")
        self.metrics = [metric] if isinstance(metric, str) else list(metric)
        self.classwise = classwise
        self.proposal_nums = sorted(set(proposal_nums))
        default = np.linspace(0.5, 0.95, 10)
        self.iou_thrs = default if iou_thrs is None else np.atleast_1d(np.asarray(iou_thrs, np.float64))
        self.metric_items = None if metric_items is None else list(metric_items)
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.backend_args = backend_args
        self._check_names()
        self.backend = CocoBackend(backend)
        self._file: CocoFile | None = None
        if ann_file is not None:
            self._file = read_coco_file(ann_file, backend_args)
            self._image_numbers = dict(
                zip(self._file.images, as_numbers(list(self._file.images)), strict=True)
            )
            ids = list(self._file.categories)
            self._category_numbers = dict(zip(ids, as_numbers(ids), strict=True))
            self._truth = self.backend.dataset(
                content_of_file(self._file, self._image_numbers, self._category_numbers)
            )

    def _check_names(self) -> None:
        places = range(len(self.proposal_nums))
        items = [*_PRECISIONS, *(name for place in places for name in self._recalls(place))]
        for what, given, choices in (
            ("metric", self.metrics, METRIC_NAMES),
            ("metric_items", self.metric_items or (), items),
        ):
            for name in given:
                if name not in choices:
                    hint = did_you_mean(name, choices) or "."
                    raise BuildError(f"CocoMetric got {what}={name!r}{hint} It takes {', '.join(choices)}.")
        if not self.metrics or not self.proposal_nums:
            raise BuildError("CocoMetric needs at least one metric, and one of proposal_nums.")

    def _recalls(self, place: int) -> dict[str, tuple[int, str]]:
        """Names of recalls at a place of `proposal_nums`, with the number and the range of area."""
        number = self.proposal_nums[place]
        names = {f"AR@{number}": (number, "all")}
        if number == self.proposal_nums[-1]:
            names |= {f"AR_{area[0]}@{number}": (number, area) for area in ("small", "medium", "large")}
        return names

    @property
    def dataset_meta(self) -> dict[str, Any] | None:
        """Facts about the dataset. Its classes are looked for in the annotation file when they are set."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta
        if self._file is not None and dataset_meta is not None and "classes" in dataset_meta:
            category_ids(self._file, dataset_meta["classes"], _FIX)

    @property
    def classes(self) -> Sequence[str]:
        """Names of the labels."""
        classes = (self.dataset_meta or {}).get("classes")
        if classes is None:
            raise DataError("CocoMetric needs class names: set metainfo=dict(classes=(…)) on the dataset.")
        return classes

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the detections of a batch, with masks as run lengths.

        Args:
            data_batch: Not used.
            data_samples: `DetDataSample`s as dicts, with `img_id`, `ori_shape` and `pred_instances` in pixels
                of the original image: `bboxes`, `labels`, `scores`, and where there are, `masks` and
                `mask_scores`.

        Raises:
            DataError: There is no `img_id`, or no ground truth where it is needed.
        """
        for sample in data_samples:
            if "img_id" not in sample:
                raise DataError("CocoMetric needs img_id: name it in meta_keys of PackDetInputs.")
            predicted = sample["pred_instances"]
            height, width = sample.get("ori_shape") or (0, 0)
            result = {
                "img_id": sample["img_id"],
                "height": int(height),
                "width": int(width),
                "bboxes": as_array(predicted["bboxes"], (-1, 4)),
                "scores": as_array(predicted["scores"], -1),
                "labels": as_array(predicted["labels"], -1),
            }
            if "masks" in predicted:
                result["masks"] = encode_masks(predicted["masks"])
            if "mask_scores" in predicted:
                result["mask_scores"] = as_array(predicted["mask_scores"], -1)
            if self._file is None and not self.format_only:
                result["truth"] = truth_of_sample(sample)
            self.results.append(result)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        """The metric's values over all images.

        Args:
            results: What `process` kept, of all processes.
        """
        if not results:
            return {}
        detections = CocoDetections(results, len(self.classes))
        self._note_files(detections)
        if self.format_only:
            return {}
        scene = self._scene_of(results)
        values: dict[str, float] = {}
        for metric in self.metrics:
            self._logger.info(f"Evaluating {metric}...")
            if metric == "proposal_fast":
                values.update(self._fast_recalls(scene, results))
            else:
                values.update(self._evaluate(metric, scene, detections))
        return values

    @property
    def _logger(self) -> MMLogger:
        return MMLogger.get_current_instance()

    def _note_files(self, detections: CocoDetections) -> None:
        """Write the files of results, if they are asked for."""
        if self.outfile_prefix is None:
            return
        ids = range(len(self.classes)) if self._file is None else category_ids(self._file, self.classes, _FIX)
        paths = detections.write(self.outfile_prefix, ids)
        self._logger.info(f"The detections were written to {' and '.join(paths)}")

    def _scene_of(self, results: list[dict[str, Any]]) -> _Scene:
        """The ground truth of the images that were evaluated, and the ids that it gives them."""
        img_ids = [result["img_id"] for result in results]
        if self._file is None:
            numbers = as_numbers(img_ids)
            content = content_of_samples(results, numbers, self.classes)
            return _Scene(self.backend.dataset(content), numbers, list(range(len(self.classes))))
        self._check_images(self._file, img_ids)
        self._check_sizes(self._file, results)
        categories = [self._category_numbers[one] for one in category_ids(self._file, self.classes, _FIX)]
        return _Scene(self._truth, [self._image_numbers[one] for one in img_ids], categories)

    def _check_images(self, file: CocoFile, img_ids: list[Any]) -> None:
        """Refuse images that the file doesn't know, or that came twice; tell if some never came."""
        unknown = [one for one in img_ids if one not in file.images]
        if unknown:
            raise DataError(
                f"CocoMetric: {file.path!r} has no image of {len(unknown)} of the {len(img_ids)} ids that "
                f"were evaluated: {shown(map(repr, unknown), len(unknown))}. The metric's ann_file must be "
                "the dataset's."
            )
        if len(set(img_ids)) < len(img_ids):
            twice = [one for one, count in Counter(img_ids).items() if count > 1]
            raise DataError(
                f"CocoMetric got {len(twice)} images several times: {shown(map(repr, twice), len(twice))}. "
                "Evaluate each image once: without RepeatDataset, and one file of annotations a metric."
            )
        if len(img_ids) < len(file.images):
            self._logger.warning(
                f"{len(img_ids)} of the {len(file.images)} images of {file.path!r} were evaluated; the "
                "numbers are over these alone"
            )

    def _check_sizes(self, file: CocoFile, results: list[dict[str, Any]]) -> None:
        """Tell of images of another size than the file says: it may be the file of other images."""
        others = [
            result["img_id"]
            for result in results
            for image in [file.images[result["img_id"]]]
            if result["height"]
            and (result["height"], result["width"]) != (image.get("height"), image.get("width"))
        ]
        if others:
            self._logger.warning(
                f"{len(others)} of the {len(results)} images have another size than {file.path!r} says "
                f"(ids {shown(others, len(others))}); is it the annotation file of these images?"
            )

    def _evaluate(self, metric: str, scene: _Scene, detections: CocoDetections) -> dict[str, float]:
        """The values of 'bbox', 'segm' or 'proposal'."""
        if metric == "segm":
            found: Any = detections.masks(scene.image_ids, scene.category_ids)
            _check_masks(scene)
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
        self._log_row(chosen)
        if pooled:
            return chosen
        values = {f"{metric}_{name}": value for name, value in chosen.items()}
        if self.classwise:
            values |= self._by_class(metric, curves, scene)
        summary = " ".join(f"{curves.ap(*which):.3f}" for which in _PRECISIONS.values())
        self._logger.info(f"{metric}_mAP_copypaste: {summary}")
        return values

    def _log_row(self, values: Mapping[str, float]) -> None:
        row = [f"{value:.3f}" for value in values.values()]
        self._logger.info("\n" + text_table([list(values), row]))

    def _by_class(self, metric: str, curves: CocoCurves, scene: _Scene) -> dict[str, float]:
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
        self._logger.info("\n" + text_table(rows))
        return values

    def _fast_recalls(self, scene: _Scene, results: list[dict[str, Any]]) -> dict[str, float]:
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
            logger=self._logger,
        ).mean(axis=1)
        return {f"AR@{n}": float(recall) for n, recall in zip(self.proposal_nums, recalls, strict=True)}


class _Scene(NamedTuple):
    """What detections are compared with."""

    truth: Any  # a backend's COCO object
    image_ids: list[int]  # of each image that was evaluated
    category_ids: list[int]  # of each label


def _check_masks(scene: _Scene) -> None:
    images, categories = set(scene.image_ids), set(scene.category_ids)
    lacking = [
        one["id"]
        for one in scene.truth.dataset["annotations"]
        if one["image_id"] in images and one["category_id"] in categories and not one.get("segmentation")
    ]
    if lacking:
        raise DataError(
            f"CocoMetric is to evaluate 'segm', but {len(lacking)} objects of the ground truth have no mask "
            f"(the first is object {lacking[0]}). Use metric='bbox', annotations with 'segmentation', or, "
            "without ann_file, LoadAnnotations with with_mask=True."
        )
