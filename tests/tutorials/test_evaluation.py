"""Metrics in a run, metrics of one's own, several at once, and evaluation of results that are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from toolkit.evaluator import BaseMetric, DumpResults, Evaluator, get_metric_value
from toolkit.fileio import load
from toolkit.registry import METRICS
from toolkit.runner import Runner
from toolkit.structures import BaseDataElement

Make = Callable[..., Runner]


@METRICS.register_module(force=True)
class SimpleAccuracy(BaseMetric):
    """The metric of the tutorial."""

    default_prefix = "ACC"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        result = {
            "pred": np.stack([sample["pred_label"] for sample in data_samples]),
            "gt": np.stack([sample["gt_label"] for sample in data_samples]),
        }
        self.results.append(result)

    def compute_metrics(self, results: list[dict[str, Any]]) -> dict[str, float]:
        preds = np.concatenate([one["pred"] for one in results])
        labels = np.concatenate([one["gt"] for one in results])
        return {"accuracy": float((preds == labels).mean())}


SAMPLES = [{"pred_label": np.array(p), "gt_label": np.array(g)} for p, g in ((0, 0), (1, 0), (1, 1), (2, 2))]


def test_a_metric_of_ones_own() -> None:
    evaluator = Evaluator({"type": "SimpleAccuracy"})
    evaluator.dataset_meta = {"classes": ("a", "b", "c")}
    evaluator.process(data_samples=SAMPLES[:2], data_batch=None)
    evaluator.process(data_samples=SAMPLES[2:], data_batch=None)
    assert evaluator.evaluate(4) == {"ACC/accuracy": 0.75}
    assert evaluator.metrics[0].dataset_meta == {"classes": ("a", "b", "c")}
    assert evaluator.metrics[0].results == []  # ready for the next round


def test_what_padding_samplers_add_is_cut_off() -> None:
    @METRICS.register_module(force=True)
    class Counted(BaseMetric):
        """How many results there were."""

        def process(self, data_batch: Any, data_samples: Any) -> None:
            self.results += list(data_samples)

        def compute_metrics(self, results: list[Any]) -> dict[str, float]:
            return {"count": len(results)}

    evaluator = Evaluator([{"type": "Counted"}])
    evaluator.process(data_samples=SAMPLES)
    assert evaluator.evaluate(size=3) == {"count": 3}


def test_several_metrics_and_their_prefixes() -> None:
    evaluator = Evaluator([{"type": "SimpleAccuracy"}, {"type": "SimpleAccuracy", "prefix": "again"}])
    assert evaluator.offline_evaluate(SAMPLES, chunk_size=2) == {"ACC/accuracy": 0.75, "again/accuracy": 0.75}
    twice = Evaluator([{"type": "SimpleAccuracy"}, {"type": "SimpleAccuracy"}])
    with pytest.raises(ValueError, match="ACC/accuracy"):
        twice.offline_evaluate(SAMPLES)


def test_data_elements_become_dicts() -> None:
    elements = [BaseDataElement(pred_label=one["pred_label"], gt_label=one["gt_label"]) for one in SAMPLES]
    assert Evaluator(SimpleAccuracy()).offline_evaluate(elements) == {"ACC/accuracy": 0.75}


def test_results_are_dumped_and_evaluated_later(tmp_path: Path) -> None:
    file = tmp_path / "out.pkl"
    Evaluator([DumpResults(out_file_path=str(file))]).offline_evaluate(SAMPLES)
    assert Evaluator(SimpleAccuracy()).offline_evaluate(load(file)) == {"ACC/accuracy": 0.75}


def test_a_run_evaluates(make: Make, evaluated: dict[str, Any]) -> None:
    runner = make(**evaluated)
    runner.train()
    model = runner.model.eval()
    points = torch.stack([sample["inputs"] for sample in runner.val_dataloader.dataset])
    right = model(points).argmax(1) == (points[:, 0] > 0)
    assert runner.val() == {"toy/accuracy": pytest.approx(right.float().mean().item())}


def test_a_metric_is_found_by_its_end() -> None:
    metrics = {"ACC/accuracy": 0.5, "again/f1": 0.25}
    assert get_metric_value("accuracy", metrics) == 0.5
    assert get_metric_value("again/f1", metrics) == 0.25
    with pytest.raises(ValueError):
        get_metric_value("auc", metrics)
