"""`DumpResults`: writes predictions to a file."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from toolkit.evaluator.base_metric import BaseMetric, to_cpu
from toolkit.registry import METRICS

logger = logging.getLogger(__name__)

_SUFFIXES = (".pkl", ".pickle", ".pt", ".pth")


@METRICS.register_module()
class DumpResults(BaseMetric):
    """Writes the predictions of all samples, a list of dicts in the order of the dataset, to a file.

    Args:
        out_file_path: The file. ``.pkl`` is a pickle; ``.pt`` holds the same and loads without running code,
            with ``torch.load(path, weights_only=True)``, where the dicts hold plain values and tensors.
        collect_device: See `BaseMetric`.
        collect_dir: See `BaseMetric`.

    Raises:
        ValueError: The file has another suffix.
    """

    def __init__(
        self, out_file_path: str, collect_device: str = "cpu", collect_dir: str | None = None
    ) -> None:
        super().__init__(collect_device=collect_device, collect_dir=collect_dir)
        if not str(out_file_path).endswith(_SUFFIXES):
            raise ValueError(f"out_file_path must end in {', '.join(_SUFFIXES)}; got {out_file_path!r}")
        self.out_file_path = out_file_path

    def process(self, data_batch: Any, predictions: Sequence[dict[str, Any]]) -> None:
        """Keep the predictions of a batch, on the CPU."""
        self.results.extend(to_cpu(list(predictions)))

    def compute_metrics(self, results: list[Any]) -> dict[str, Any]:
        """Write the file; there are no numbers."""
        path = Path(self.out_file_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".pt", ".pth"):
            torch.save(results, path)
        else:
            path.write_bytes(pickle.dumps(results))
        logger.info("Results have been saved to %s", path)
        return {}
