"""Pseudo metrics that write predictions to files."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from toolkit.detection.datasets.proposals import proposal_key
from toolkit.detection.evaluation.arrays import as_array
from toolkit.detection.evaluation.mask_runs import encode_masks
from toolkit.detection.registry import METRICS
from toolkit.evaluator import BaseMetric, DumpResults
from toolkit.logging import MMLogger
from toolkit.utils import BuildError, DataError

_TRUTH = ("gt_instances", "ignored_instances", "gt_panoptic_seg")


@METRICS.register_module()
class DumpDetResults(DumpResults):
    """Writes the predictions of all samples to a file, with masks as run lengths and without the ground
    truth.

    Args:
        out_file_path: The file; see `DumpResults`.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        collect_dir: Folder for the files of 'cpu'; a temporary one by default.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the predictions of a batch.

        Args:
            data_batch: Not used.
            data_samples: `DetDataSample`s as dicts.
        """
        kept = []
        for sample in data_samples:
            lean = {key: value for key, value in sample.items() if key not in _TRUTH}
            if "masks" in (predicted := lean.get("pred_instances") or {}):
                lean["pred_instances"] = {**predicted, "masks": encode_masks(predicted["masks"])}
            kept.append(lean)
        super().process(data_batch, kept)


@METRICS.register_module()
class DumpProposals(BaseMetric):
    """Writes the boxes of all images to a file, as `proposal_file` of a dataset reads it for Fast R-CNN.

    The file is a pickle of a dict from 'FOLDER/IMAGE' to dict(bboxes=(N, 4) float32 xyxy, scores=(N,)
    float32), the best first.

    Args:
        output_dir: Folder of the file; it is made.
        proposals_file: Name of the file.
        num_max_proposals: How many of an image's best boxes to keep; all by default.
        file_client_args: MMDetection's former name of `backend_args`; refused.
        backend_args: Accepted for MMDetection's sake: the file is a local one.
        collect_device: Where results of several processes meet: 'cpu' or 'gpu'.
        prefix: Accepted for MMDetection's sake: there are no numbers to name.

    Raises:
        BuildError: The file's name has another suffix than `.pkl` or `.pickle`.
    """

    default_prefix = "dump_proposals"

    def __init__(
        self,
        output_dir: str = "",
        proposals_file: str = "proposals.pkl",
        num_max_proposals: int | None = None,
        file_client_args: Mapping[str, Any] | None = None,
        backend_args: Mapping[str, Any] | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if file_client_args is not None:
            raise BuildError("DumpProposals got file_client_args; its name is backend_args now.")
        if not proposals_file.endswith((".pkl", ".pickle")):
            raise BuildError(
                f"DumpProposals got proposals_file={proposals_file!r}; it ends in .pkl or .pickle."
            )
        self.backend_args = backend_args
        self.num_max_proposals = num_max_proposals
        self.proposals_file = os.path.join(output_dir, proposals_file)

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep the boxes of a batch.

        Args:
            data_batch: Not used.
            data_samples: `DetDataSample`s as dicts, with `img_path`, and `bboxes` and `scores` of
                `pred_instances`.
        """
        for sample in data_samples:
            if "img_path" not in sample:
                raise DataError("DumpProposals needs img_path: name it in meta_keys of PackDetInputs.")
            predicted = sample["pred_instances"]
            scores = as_array(predicted["scores"], -1).astype(np.float32)
            best = np.argsort(-scores, kind="stable")[: self.num_max_proposals]
            boxes = as_array(predicted["bboxes"], (-1, 4)).astype(np.float32)
            self.results.append(
                (proposal_key(sample["img_path"]), {"bboxes": boxes[best], "scores": scores[best]})
            )

    def compute_metrics(self, results: list[tuple[str, dict[str, np.ndarray]]]) -> dict[str, float]:
        """Write the file.

        Args:
            results: What `process` kept, of all processes.

        Raises:
            DataError: Two images have one key, or the file can't be written.
        """
        proposals = dict(results)
        if len(proposals) < len(results):
            raise DataError(
                "DumpProposals: several images have the same folder and name, by which proposals are found."
            )
        try:
            os.makedirs(os.path.dirname(self.proposals_file) or ".", exist_ok=True)
            with open(self.proposals_file, "wb") as file:
                pickle.dump(proposals, file)
        except OSError as error:
            raise DataError(
                f"{self.proposals_file!r} can't be written: {error.strerror or error}."
            ) from error
        MMLogger.get_current_instance().info(f"The proposals were written to {self.proposals_file}")
        return {}
