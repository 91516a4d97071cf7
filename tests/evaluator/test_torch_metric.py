"""`TorchMetric` against torchmetrics itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from toolkit.evaluator import Evaluator, TorchMetric
from toolkit.registry import METRICS
from toolkit.runner.preflight import slots
from toolkit.runner.preflight.walk import Walker
from toolkit.structures import BaseDataElement, InstanceData
from toolkit.utils import BuildError, ConfigError, DataError

torchmetrics = pytest.importorskip("torchmetrics", reason="the adapter is tested where torchmetrics is")

SCORES = torch.rand(11, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.randint(0, 4, (11,), generator=torch.Generator().manual_seed(1))


def samples() -> list[BaseDataElement]:
    return [
        BaseDataElement(
            pred_score=scores, pred_label=scores.argmax(0, keepdim=True), gt_label=label.reshape(1)
        )
        for scores, label in zip(SCORES, LABELS, strict=True)
    ]


@pytest.mark.parametrize("batch_size", [3, 256])
@pytest.mark.parametrize(
    ("metric", "pred"),
    [
        ({"type": "torchmetrics.classification.MulticlassAccuracy", "num_classes": 4}, "pred_score"),
        ({"type": "classification.MulticlassF1Score", "num_classes": 4, "average": None}, "pred_label"),
        ({"type": "Accuracy", "task": "multiclass", "num_classes": 4, "top_k": 2}, "pred_score"),
        ({"type": "classification.MulticlassConfusionMatrix", "num_classes": 4}, "pred_score"),
        ({"type": "classification.MulticlassAUROC", "num_classes": 4}, "pred_score"),
    ],
)
def test_equals_torchmetrics(metric: dict[str, Any], pred: str, batch_size: int) -> None:
    config = {"type": "TorchMetric", "metric": metric, "pred": pred, "batch_size": batch_size, "prefix": "t"}
    found = Evaluator(METRICS.build(config)).offline_evaluate(samples(), chunk_size=4)
    arguments = {key: value for key, value in metric.items() if key != "type"}
    name = metric["type"].rpartition(".")[2]
    home = torchmetrics if "." not in metric["type"] else torchmetrics.classification
    preds = SCORES if pred == "pred_score" else SCORES.argmax(1)
    wanted = getattr(home, name)(**arguments)(preds, LABELS)
    (number,) = found.values()
    torch.testing.assert_close(torch.tensor(number), wanted)
    if home is torchmetrics.classification:
        assert list(found) == [f"t/{name}"]


def test_nested_fields_and_pictures_of_several_sizes() -> None:
    sizes = [(4, 5), (4, 5), (3, 2)]
    pairs = [(torch.rand(size), torch.rand(size)) for size in sizes]
    metric = TorchMetric("MeanSquaredError", pred="out.depth", target="truth", name="mse")
    for pred, target in pairs:
        metric.process(None, [{"out": BaseDataElement(depth=pred), "truth": target.numpy()}])
    wanted = torchmetrics.MeanSquaredError()
    wanted.update(*(torch.cat([pair[side].reshape(-1) for pair in pairs]) for side in (0, 1)))
    assert metric.evaluate(3)["mse"] == pytest.approx(float(wanted.compute()))


def test_a_metric_of_dicts() -> None:
    def instances(count: int, seed: int) -> InstanceData:
        corner = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)) * 50
        return InstanceData(
            bboxes=torch.cat([corner, corner + 20], 1),
            scores=torch.ones(count),
            labels=torch.zeros(count).long(),
        )

    truth = [instances(2, 0), instances(3, 1)]
    preds = [truth[0], instances(3, 2)]
    fields = {key: f"pred_instances.{value}" for key, value in (("boxes", "bboxes"), ("labels", "labels"))}
    metric = TorchMetric(
        {"type": "detection.MeanAveragePrecision"},
        pred={**fields, "scores": "pred_instances.scores"},
        target={key: value.replace("pred", "gt") for key, value in fields.items()},
    )
    for pred, target in zip(preds, truth, strict=True):
        Evaluator(metric).process([BaseDataElement(pred_instances=pred, gt_instances=target)])
    found = metric.evaluate(2)
    wanted = torchmetrics.detection.MeanAveragePrecision()
    wanted.update(
        [{"boxes": one.bboxes, "labels": one.labels, "scores": one.scores} for one in preds],
        [{"boxes": one.bboxes, "labels": one.labels} for one in truth],
    )
    expected = wanted.compute()
    assert 0 < found["map"] < 1
    assert found["map"] == pytest.approx(float(expected["map"]))
    assert set(found) == set(expected)


def test_samples_that_a_sampler_repeated_do_not_count() -> None:
    metric = TorchMetric("MeanAbsoluteError", pred="x", target="y")
    for value in (1.0, 2.0, 1.0):
        metric.process(None, [{"x": torch.tensor(value), "y": 0.0}])
    assert metric.evaluate(2) == {"MeanAbsoluteError": 1.5}
    metric.process(None, [{"x": 4.0, "y": 1.0}])  # nothing of before is left
    assert metric.evaluate(1) == {"MeanAbsoluteError": 3.0}


def test_two_of_one_name_are_refused() -> None:
    cfg = {"metric": "MeanSquaredError", "pred": "x", "target": "x"}
    evaluator = Evaluator([TorchMetric(**cfg), TorchMetric(**cfg)])
    evaluator.process([{"x": 1.0}])
    with pytest.raises(ValueError, match="another prefix"):
        evaluator.evaluate(1)


def test_the_checks_before_a_run_accept_it() -> None:
    metric = {"type": "torchmetrics.classification.MulticlassAccuracy", "num_classes": 4}
    cfg = {"val_evaluator": {"type": "TorchMetric", "metric": metric, "predd": "x"}}
    walker = Walker()
    walker.visit(cfg["val_evaluator"], slots.METRIC, "val_evaluator", cfg, "val_evaluator")
    assert [problem.message for problem in walker.problems if "did you mean 'pred'" in problem.message]
    assert len(walker.problems) == 1


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("MeanSquareError", "did you mean 'MeanSquaredError'"),
        ("torchmetrics.nothere.X", "no module torchmetrics.nothere"),
        ("torch.nn.Linear", "no module torchmetrics.torch.nn"),
        ("utilities.rank_zero_warn", "no metric 'rank_zero_warn'"),
        ({"num_classes": 3}, "names no type"),
        ({"type": "MeanSquaredError", "squarred": 1}, "doesn't take"),
    ],
)
def test_unknown_metrics(metric: Any, said: str) -> None:
    with pytest.raises(BuildError, match=said):
        TorchMetric(metric)


def test_bad_fields() -> None:
    with pytest.raises(ConfigError, match="both a field or both a dict"):
        TorchMetric("MeanSquaredError", pred={"a": "b"})
    with pytest.raises(ConfigError, match="batch_size"):
        TorchMetric("MeanSquaredError", batch_size=0)
    metric = TorchMetric("MeanSquaredError", pred="pred_lable")
    with pytest.raises(DataError, match=r"no 'pred_lable'.*did you mean 'pred_label'.*gt_label"):
        Evaluator(metric).process(samples())
    refused = TorchMetric({"type": "classification.BinaryAccuracy"}, pred="pred_score")
    Evaluator(refused).process(samples())
    with pytest.raises(DataError, match=r"'pred_score' of shape \(4,\)"):
        refused.evaluate(11)
