from __future__ import annotations

import logging

import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from toolkit.classification.evaluation import Accuracy, ConfusionMatrix, SingleLabelMetric
from toolkit.classification.structures import DataSample
from toolkit.evaluator import Evaluator
from toolkit.registry import METRICS
from toolkit.utils.errors import ConfigError, DataError

CLASSES, SIZE = 5, 200
generator = torch.Generator().manual_seed(0)
SCORES = torch.randn(SIZE, CLASSES, generator=generator).softmax(1)
TARGET = torch.randint(0, CLASSES - 1, (SIZE,), generator=generator)  # the last class has no sample
REFERENCES = {"precision": multiclass_precision, "recall": multiclass_recall, "f1-score": multiclass_f1_score}


def samples(labels_only=False):
    for score, label in zip(SCORES, TARGET, strict=True):
        sample = DataSample().set_gt_label(label).set_pred_label(score.argmax())
        yield (sample if labels_only else sample.set_pred_score(score)).to_dict()


def evaluate(metric, **kwargs):
    everything = list(samples(**kwargs))
    metric.process({}, everything[:90])
    metric.process({}, everything[90:])
    return metric.evaluate(SIZE)


class TestAccuracy:
    @pytest.mark.parametrize("topk", [1, (1, 2, 5)])
    def test_is_torchmetrics(self, topk):
        found = evaluate(Accuracy(topk=topk))
        ks = (topk,) if isinstance(topk, int) else topk
        assert list(found) == [f"accuracy/top{k}" for k in ks]
        for k in ks:
            expected = multiclass_accuracy(SCORES, TARGET, CLASSES, average="micro", top_k=k) * 100
            assert found[f"accuracy/top{k}"] == pytest.approx(float(expected), abs=1e-4)

    def test_thresholds(self):
        found = evaluate(Accuracy(thrs=(0.3, None)))
        sure = (SCORES.argmax(1) == TARGET) & (SCORES.amax(1) > 0.3)
        assert found["accuracy/top1_thr-0.30"] == pytest.approx(float(sure.float().mean() * 100), abs=1e-4)
        assert "accuracy/top1_no-thr" in found

    def test_labels_only(self):
        assert evaluate(Accuracy(), labels_only=True) == pytest.approx(evaluate(Accuracy()), abs=1e-4)

    def test_more_than_there_are_classes(self):
        with pytest.raises(ValueError, match="top-6"):
            evaluate(Accuracy(topk=6))

    def test_in_an_evaluator(self):
        evaluator = Evaluator([{"type": "classification.Accuracy"}, {"type": "SingleLabelMetric"}])
        elements = [
            DataSample().set_gt_label(1).set_pred_score([0.1, 0.9]),
            DataSample().set_gt_label(0).set_pred_score([0.1, 0.9]),
        ]
        evaluator.process(elements)
        assert evaluator.evaluate(2)["accuracy/top1"] == 50.0

    def test_unlabelled_samples(self):
        with pytest.raises(DataError, match="gt_label"):
            Accuracy().process({}, [{"pred_score": SCORES[0]}])
        with pytest.raises(DataError, match="pred_score"):
            Accuracy().process({}, [{"gt_label": TARGET[:1]}])
        with pytest.raises(DataError, match="2 labels"):
            Accuracy().process({}, [{"gt_label": TARGET[:2], "pred_score": SCORES[0]}])


class TestSingleLabel:
    @pytest.mark.parametrize("average", ["macro", "micro", None])
    @pytest.mark.parametrize("item", list(REFERENCES))
    def test_is_torchmetrics(self, average, item):
        found = evaluate(SingleLabelMetric(average=average))
        name = f"single-label/{item}" + ("" if average else "_classwise")
        reference = REFERENCES[item](SCORES, TARGET, CLASSES, average=average or "none") * 100
        if average == "macro":
            # torchmetrics leaves classes out that occur nowhere; MMPretrain's mean is over all.
            reference = (REFERENCES[item](SCORES, TARGET, CLASSES, average="none") * 100).mean()
        torch.testing.assert_close(torch.tensor(found[name]), reference, atol=1e-3, rtol=0)

    def test_support(self):
        items = {"items": ("support",)}
        assert evaluate(SingleLabelMetric(**items)) == {"single-label/support": SIZE}
        each = evaluate(SingleLabelMetric(**items, average=None))["single-label/support_classwise"]
        assert each == torch.bincount(TARGET, minlength=CLASSES).tolist()

    def test_thresholds(self):
        found = evaluate(SingleLabelMetric(thrs=(0.0, 0.4), items=("precision", "recall")))
        assert found["single-label/recall_thr-0.40"] < found["single-label/recall_thr-0.00"]
        kept = SCORES.amax(1) > 0.4
        precision = multiclass_precision(SCORES[kept], TARGET[kept], CLASSES, average="none").mean() * 100
        assert found["single-label/precision_thr-0.40"] == pytest.approx(float(precision), abs=1e-3)

    def test_table_of_classes(self, caplog):
        metric = SingleLabelMetric()
        metric.dataset_meta = {"classes": ["ant", "bee", "cat", "dog", "elk"]}
        with caplog.at_level(logging.INFO):
            evaluate(metric)
        table = caplog.text
        assert all(name in table for name in ("precision", "support", "ant", "elk"))
        ant = next(line for line in table.splitlines() if line.startswith("ant"))
        assert int(ant.split()[-1]) == int((TARGET == 0).sum())

    def test_labels_only(self):
        expected = evaluate(SingleLabelMetric())
        assert evaluate(SingleLabelMetric(num_classes=CLASSES), labels_only=True) == pytest.approx(expected)
        with pytest.raises(ConfigError, match="num_classes"):
            evaluate(SingleLabelMetric(), labels_only=True)

    def test_mistakes(self):
        with pytest.raises(ConfigError, match="did you mean 'recall'"):
            SingleLabelMetric(items=("recal",))
        with pytest.raises(ConfigError, match="weighted"):
            SingleLabelMetric(average="weighted")


def test_confusion_matrix():
    found = evaluate(ConfusionMatrix())["confusion_matrix/result"]
    assert found == multiclass_confusion_matrix(SCORES, TARGET, CLASSES).tolist()
    assert (
        evaluate(ConfusionMatrix(num_classes=CLASSES), labels_only=True)["confusion_matrix/result"] == found
    )
    assert ConfusionMatrix.calculate(SCORES, TARGET, CLASSES).tolist() == found


def test_static_calculation():
    precision, recall, f1, support = SingleLabelMetric.calculate(SCORES, TARGET, CLASSES)
    torch.testing.assert_close(
        recall.float(), multiclass_recall(SCORES, TARGET, CLASSES, average="none") * 100, atol=1e-3, rtol=0
    )
    assert support.sum() == SIZE
    assert precision.shape == f1.shape == (CLASSES,)


def test_registered():
    assert METRICS.get("classification.Accuracy") is Accuracy
    assert METRICS.get("mmpretrain.Accuracy") is Accuracy
