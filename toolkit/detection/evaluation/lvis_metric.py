"""The LVIS metric."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from toolkit.detection.datasets.coco_format import CocoFile
from toolkit.detection.datasets.lvis import lvis_category_ids
from toolkit.detection.evaluation.coco_base import CLASSES_FIX, Scene
from toolkit.detection.evaluation.coco_detections import CocoDetections
from toolkit.detection.evaluation.coco_metric import CocoMetric
from toolkit.detection.evaluation.table import text_table
from toolkit.detection.registry import METRICS
from toolkit.utils import BuildError, DataError

# names of the numbers, in the order of lvis-api's report
PRECISIONS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")
RECALLS = ("AR@300", "ARs@300", "ARm@300", "ARl@300")
# an image's detections that count, of all classes together
MAX_DETS = 300
_COLUMNS = 3


@METRICS.register_module()
class LVISMetric(CocoMetric):
    """Average precision of boxes and masks as LVIS defines it, equal to lvis-api's.

    LVIS is annotated class by class on a part of the images: a detection counts in an image only if its class
    was looked for there, and isn't held against the detector where not all of its objects were marked. Of
    each image the 300 best detections of all classes count.

    Gives `lvis/bbox_AP`, `AP50`, `AP75`, `APs`, `APm`, `APl`, and `APr`, `APc`, `APf` for rare, common and
    frequent classes; the same for `segm`; for `proposal` `lvis/AR@300`, `ARs@300`, `ARm@300` and `ARl@300`.

    Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019.

    Args:
        ann_file: LVIS's annotation file; needed, since which classes were looked for stands there alone.
        metric: 'bbox', 'segm', 'proposal', 'proposal_fast', or a list of these.
        classwise: Whether to give `lvis/NAME_precision` for each class, and to log a table of the classes.
        proposal_nums: How many of an image's best boxes count for 'proposal_fast'.
        iou_thrs: IoU thresholds of 'proposal_fast'; LVIS's own are 0.5, 0.55, …, 0.95.
        metric_items: What to report, such as `['AP', 'APr']`.
        format_only: Write the files of `outfile_prefix` and evaluate nothing.
        outfile_prefix: See `CocoMetric`.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: In place of 'lvis' in the names.
        file_client_args: MMDetection's former name of `backend_args`; refused.
        backend_args: Options for reading a remote annotation file, handed to fsspec.

    Raises:
        BuildError: Unknown metric or item, or there is no `ann_file`.
        DataError: The annotation file can't be used.
    """

    default_prefix = "lvis"

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
        collect_device: str = "cpu",
        prefix: str | None = None,
        file_client_args: Any = None,
        backend_args: Any = None,
    ) -> None:
        if ann_file is None and not format_only:
            raise BuildError(
                "LVISMetric needs ann_file: which classes were looked for in an image stands in LVIS's "
                "annotation file alone."
            )
        super().__init__(
            ann_file=ann_file,
            metric=metric,
            classwise=classwise,
            proposal_nums=proposal_nums,
            iou_thrs=iou_thrs,
            metric_items=metric_items,
            format_only=format_only,
            outfile_prefix=outfile_prefix,
            file_client_args=file_client_args,
            backend_args=backend_args,
            collect_device=collect_device,
            prefix=prefix,
        )

    def item_names(self) -> list[str]:
        """What `metric_items` may name."""
        return [*PRECISIONS, *RECALLS]

    def find_categories(self, file: CocoFile, classes: Sequence[str]) -> list[Any]:
        """See `lvis_category_ids`."""
        return lvis_category_ids(file, classes, CLASSES_FIX)

    def content_of(self, file: CocoFile) -> dict[str, Any]:
        """COCO's content of the annotation file, with LVIS's facts about images and classes."""
        for keys, entries in (
            (("neg_category_ids", "not_exhaustive_category_ids"), file.images.values()),
            (("frequency",), file.category_entries.values()),
        ):
            for key in keys:
                if not all(key in entry for entry in entries):
                    raise DataError(
                        f"{file.path!r} is no annotation file of LVIS: some entries have no {key!r}. Use "
                        "CocoMetric for other data."
                    )
        content = super().content_of(file)
        for image in content["images"]:
            for key in ("neg_category_ids", "not_exhaustive_category_ids"):
                image[key] = [
                    self._category_numbers[one] for one in image[key] if one in self._category_numbers
                ]
        for number, category in zip(file.categories, content["categories"], strict=True):
            category["frequency"] = file.category_entries[number]["frequency"]
        return content

    def evaluate_metric(self, metric: str, scene: Scene, detections: CocoDetections) -> dict[str, float]:
        """The values of 'bbox', 'segm' or 'proposal'."""
        from hotcoco import LVISeval, LVISResults

        pooled = metric == "proposal"
        if metric == "segm":
            scene = self.scene_of_masks(scene)
            found: Any = detections.masks(scene.image_ids, scene.category_ids)
        else:
            found = detections.boxes(scene.image_ids, scene.category_ids)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # it warns that pooled classes give no number of a leaderboard
            warnings.simplefilter("ignore", UserWarning)
            best = LVISResults(scene.truth, found, max_dets=MAX_DETS)
            evaluation: Any = LVISeval(scene.truth, best, "bbox" if pooled else metric)
            evaluation.params.imgIds = sorted(scene.image_ids)
            evaluation.params.useCats = not pooled
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        outcome = evaluation.get_results()
        items = self.metric_items or (RECALLS if pooled else PRECISIONS)
        chosen = {name: float(outcome[name]) for name in items if name in outcome}
        self.log_row(chosen)
        if pooled:
            return chosen
        values = {f"{metric}_{name}": value for name, value in chosen.items()}
        if self.classwise:
            categories = list(evaluation.params.catIds)
            precision = np.asarray(evaluation.eval["precision"])  # (T, R, K, A, 1)
            values |= self._of_classes(precision[:, :, :, 0], categories, scene)
        return values

    def _of_classes(self, precision: np.ndarray, categories: list[int], scene: Scene) -> dict[str, float]:
        """AP of each class, NaN where there is no object of it; logs the table."""
        values: dict[str, float] = {}
        cells: list[object] = []
        for name, number in zip(self.classes, scene.category_ids, strict=True):
            own = precision[:, :, categories.index(number)]
            known = own[own > -1]
            values[f"{name}_precision"] = float(known.mean()) if known.size else float("nan")
            cells += [name, f"{values[f'{name}_precision']:.3f}"]
        width = 2 * _COLUMNS
        cells += [""] * (-len(cells) % width)
        rows = [cells[start : start + width] for start in range(0, len(cells), width)]
        self.logger.info("\n" + text_table([["category", "AP"] * _COLUMNS, *rows]))
        return values
