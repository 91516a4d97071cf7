"""Cityscapes' metric of instances."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from toolkit.detection.evaluation.arrays import as_array
from toolkit.detection.registry import METRICS
from toolkit.evaluator import BaseMetric
from toolkit.logging import MMLogger
from toolkit.utils import BuildError, DataError

_EVALUATION = "cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling"
_LABELS = "cityscapesscripts.helpers.labels"


def _cityscapes(module: str) -> Any:
    """A module of Cityscapes' own package.

    Raises:
        BuildError: It isn't installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BuildError(
            f"CityScapesMetric can't import Cityscapes' own evaluation ({error}). Install it with "
            "'pip install cityscapesscripts', or evaluate with CocoMetric alone."
        ) from error


@contextlib.contextmanager
def _former_numpy() -> Iterator[None]:
    """Give the body `numpy.in1d`, which NumPy dropped in 2.4 and cityscapesscripts 2.3 still calls."""
    lacking = not hasattr(np, "in1d")
    if lacking:
        np.in1d = np.isin  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if lacking:
            del np.in1d  # type: ignore[attr-defined]


@METRICS.register_module()
class CityScapesMetric(BaseMetric):
    """Average precision of instance masks, computed by Cityscapes' own package.

    Gives `cityscapes/mAP` and `cityscapes/AP@50`. The masks are written as PNG files with a text file an
    image, in the form that the benchmark's server takes.

    Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding", CVPR 2016.

    Args:
        outfile_prefix: Folder for the files, which go to its `results`; what was there is removed. None for a
            temporary one.
        seg_prefix: Folder of the ground truth, which holds a folder a city with `*_gtFine_instanceIds.png`.
        format_only: Write the files and evaluate nothing.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: In place of 'cityscapes' in the names.
        dump_matches: Write `matches.json` beside the files.
        file_client_args: MMDetection's former name of `backend_args`; refused.
        backend_args: Accepted for MMDetection's sake: the ground truth is read from local files.

    Raises:
        BuildError: The package isn't installed, or an argument is missing.
    """

    default_prefix = "cityscapes"

    def __init__(
        self,
        outfile_prefix: str | None,
        seg_prefix: str | None = None,
        format_only: bool = False,
        collect_device: str = "cpu",
        prefix: str | None = None,
        dump_matches: bool = False,
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if file_client_args is not None:
            raise BuildError("CityScapesMetric got file_client_args; its name is backend_args now.")
        if format_only and outfile_prefix is None:
            raise BuildError("CityScapesMetric with format_only=True needs outfile_prefix, where to write.")
        if not format_only and seg_prefix is None:
            raise BuildError("CityScapesMetric needs seg_prefix, the folder of the ground truth.")
        self._labels = _cityscapes(_LABELS)
        self.format_only = format_only
        self.seg_prefix = seg_prefix
        self.dump_matches = dump_matches
        self.backend_args = backend_args
        self._temporary = tempfile.TemporaryDirectory() if outfile_prefix is None else None
        folder = self._temporary.name if self._temporary else os.path.expanduser(outfile_prefix or "")
        self.results_dir = os.path.abspath(os.path.join(folder, "results"))
        self._is_clean = False

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Write the masks of a batch.

        Args:
            data_batch: Not used.
            data_samples: `DetDataSample`s as dicts, with `img_path` and `pred_instances` with `masks`.

        Raises:
            DataError: There are no masks, or no image's path.
        """
        if not self._is_clean:
            shutil.rmtree(self.results_dir, ignore_errors=True)
            os.makedirs(self.results_dir, exist_ok=True)
            self._is_clean = True
        for sample in data_samples:
            if "img_path" not in sample:
                raise DataError("CityScapesMetric needs img_path: name it in meta_keys of PackDetInputs.")
            if "masks" not in sample["pred_instances"]:
                raise DataError("CityScapesMetric evaluates masks, but the model predicts none.")
            self.results.append((self._truth_of(sample["img_path"]), self._write(sample)))

    def _truth_of(self, img_path: str) -> str:
        folder, name = os.path.split(img_path)
        name = name.replace("_leftImg8bit.png", "_gtFine_instanceIds.png")
        return os.path.join(self.seg_prefix or "", os.path.basename(folder), name)

    def _write(self, sample: Mapping[str, Any]) -> str:
        predicted = sample["pred_instances"]
        stem = os.path.splitext(os.path.basename(sample["img_path"]))[0]
        masks = as_array(predicted["masks"], tuple(predicted["masks"].shape)).astype(np.uint8)
        scores = as_array(predicted.get("mask_scores", predicted["scores"]), -1)
        classes = (self.dataset_meta or {})["classes"]
        lines = []
        for place, (label, mask, score) in enumerate(
            zip(as_array(predicted["labels"], -1), masks, scores, strict=True)
        ):
            name = classes[int(label)]
            file = f"{stem}_{place}_{name.replace(' ', '_')}.png"
            cv2.imwrite(os.path.join(self.results_dir, file), mask)
            lines.append(f"{file} {self._labels.name2label[name].id} {score}\n")
        path = os.path.join(self.results_dir, f"{stem}_pred.txt")
        with open(path, "w") as file_of_image:
            file_of_image.writelines(lines)
        return path

    def compute_metrics(self, results: list[tuple[str, str]]) -> dict[str, float]:
        """The metric's values over all images.

        Args:
            results: Paths of ground truth and predictions, of all processes.

        Raises:
            DataError: Ground truth is missing.
        """
        logger = MMLogger.get_current_instance()
        self._is_clean = False
        if self.format_only:
            logger.info(f"The predictions were written to {self.results_dir}")
            return {}
        truths, predictions = [truth for truth, _ in results], [path for _, path in results]
        absent = [path for path in truths if not os.path.isfile(path)]
        if absent:
            raise DataError(
                f"CityScapesMetric finds no ground truth for {len(absent)} of the {len(truths)} images; the "
                f"first is {absent[0]!r}. Check seg_prefix."
            )
        with contextlib.redirect_stdout(io.StringIO()) as report, _former_numpy():
            averages = self._evaluate(truths, predictions)
        logger.info("\n" + report.getvalue())
        return {"mAP": float(averages["allAp"]), "AP@50": float(averages["allAp50%"])}

    def _evaluate(self, truths: list[str], predictions: list[str]) -> Mapping[str, Any]:
        package = _cityscapes(_EVALUATION)
        args = package.args
        args.colorized = args.JSONOutput = False
        args.quiet = True
        args.predictionPath = self.results_dir
        args.gtInstancesFile = os.path.join(self.results_dir, "gtInstances.json")
        package.setInstanceLabels(args)
        instances = package.getGtInstances(truths, args)
        matches = package.matchGtWithPreds(predictions, truths, instances, args)
        if self.dump_matches:
            package.writeDict2JSON(matches, os.path.join(self.results_dir, "matches.json"))
        averages = package.computeAverages(package.evaluateMatches(matches, args), args)
        package.printResults(averages, args)
        return averages
