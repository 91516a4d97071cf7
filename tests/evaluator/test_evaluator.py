"""Metrics, the evaluator over several of them, and dumped results."""

from __future__ import annotations

import logging
import pickle
from multiprocessing import get_context

import pytest
import torch

from toolkit.evaluator import BaseMetric, DumpResults, Evaluator, get_metric_value
from toolkit.registry import METRICS
from toolkit.structures import BaseDataElement


class Mean(BaseMetric):
    """The mean of a field, and how many there were."""

    default_prefix = "mean"

    def __init__(self, field="value", **kwargs):
        super().__init__(**kwargs)
        self.field = field

    def process(self, data_batch, data_samples):
        self.results += [sample[self.field] for sample in data_samples]

    def compute_metrics(self, results):
        return {"value": float(sum(results)) / max(len(results), 1), "count": len(results)}


def batches(n, size=2):
    samples = [BaseDataElement(metainfo={"id": i}, value=torch.tensor(float(i))) for i in range(n)]
    return [samples[i : i + size] for i in range(0, n, size)]


def run(metric, n=5):
    for batch in batches(n):
        metric.process(None, [sample.to_dict() for sample in batch])
    return metric.evaluate(n)


def test_metric_and_prefixes():
    assert run(Mean()) == {"mean/value": 2.0, "mean/count": 5}
    assert run(Mean(prefix="m")) == {"m/value": 2.0, "m/count": 5}
    assert run(Mean(prefix="")) == {"value": 2.0, "count": 5}


def test_results_are_cleared_and_padding_is_dropped():
    metric = Mean()
    for batch in batches(6):
        metric.process(None, [sample.to_dict() for sample in batch])
    assert metric.evaluate(4)["mean/count"] == 4
    assert metric.results == []


def test_no_results_are_reported(caplog):
    with caplog.at_level(logging.WARNING):
        Mean().evaluate(3)
    assert "Mean has no results" in caplog.text


def test_bad_collection():
    with pytest.raises(ValueError, match=r"'tpu'.*did you mean 'gpu'"):
        Mean(collect_device="tpu")
    with pytest.raises(ValueError, match="not 'unsynced'"):
        Mean(collect_device="unsynced", collect_dir="x")
    with pytest.raises(ValueError, match="collect_dir"):
        Mean(collect_device="gpu", collect_dir="x")
    with pytest.raises(TypeError, match="abstract"):
        BaseMetric()


def test_evaluator_over_objects_and_configs():
    METRICS.register_module("MeanOfThisTest", module=Mean)
    try:
        evaluator = Evaluator([Mean(), {"type": "MeanOfThisTest", "field": "id", "prefix": "id"}])
    finally:
        del METRICS.module_dict["MeanOfThisTest"]
    evaluator.dataset_meta = {"classes": ("a",)}
    assert [metric.dataset_meta for metric in evaluator.metrics] == [{"classes": ("a",)}] * 2
    for batch in batches(5):
        evaluator.process(data_samples=batch, data_batch=None)
    expected = {"mean/value": 2.0, "mean/count": 5, "id/value": 2.0, "id/count": 5}
    assert evaluator.evaluate(5) == expected


def test_numbers_of_one_name_are_refused():
    evaluator = Evaluator([Mean(), Mean()])
    evaluator.process(batches(2)[0])
    with pytest.raises(ValueError, match=r"'mean/value'.*another prefix"):
        evaluator.evaluate(2)


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 9])
def test_offline_evaluation(chunk_size):
    seen = []

    class Watching(Mean):
        def process(self, data_batch, data_samples):
            seen.append((data_batch, len(data_samples)))
            super().process(data_batch, data_samples)

    samples = [sample for batch in batches(5) for sample in batch]
    evaluator = Evaluator(Watching())
    assert evaluator.offline_evaluate(iter(samples), list("abcde"), chunk_size)["mean/value"] == 2.0
    assert [one for batch, _ in seen for one in batch] == list("abcde")
    assert all(len(batch) == count <= chunk_size for batch, count in seen)


@pytest.mark.parametrize(("data", "said"), [("abcd", "fewer"), ("abcdef", "more")])
def test_offline_lengths_must_agree(data, said):
    samples = [sample for batch in batches(5) for sample in batch]
    with pytest.raises(ValueError, match=said):
        Evaluator(Mean()).offline_evaluate(samples, list(data), 2)


@pytest.mark.parametrize("suffix", [".pkl", ".pt"])
def test_dump_results(tmp_path, suffix):
    path = tmp_path / "deep" / f"out{suffix}"
    evaluator = Evaluator(METRICS.build({"type": "DumpResults", "out_file_path": str(path)}))
    for batch in batches(5):
        evaluator.process(batch)
    assert evaluator.evaluate(5) == {}
    if suffix == ".pkl":
        loaded = pickle.loads(path.read_bytes())
    else:
        loaded = torch.load(path, weights_only=True)
    assert [one["id"] for one in loaded] == list(range(5))
    assert [one["value"].item() for one in loaded] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_dump_results_needs_a_known_suffix():
    with pytest.raises(ValueError, match="csv"):
        DumpResults("out.csv")


def test_get_metric_value():
    numbers = {"a/mAP": 0.5, "a/loss": 1, "b/loss": 2, "plain": 3}
    assert get_metric_value("a/mAP", numbers) == 0.5
    assert get_metric_value("mAP", numbers) == 0.5
    assert get_metric_value("plain", numbers) == 3
    with pytest.raises(ValueError, match=r"'a/loss' or 'b/loss'"):
        get_metric_value("loss", numbers)
    with pytest.raises(ValueError, match=r"'map'.*did you mean 'mAP'"):
        get_metric_value("map", numbers)
    with pytest.raises(ValueError, match="no metric 'a/zzz'"):
        get_metric_value("a/zzz", numbers)


def _rank(rank, world, port, device, queue):
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world
    )
    metric = Mean(collect_device=device)
    # 5 samples over 2 processes: the sampler repeats the first for the second process.
    for i in [0, 2, 4] if rank == 0 else [1, 3, 0]:
        metric.process(None, [{"value": torch.tensor(float(i))}])
    queue.put((rank, metric.evaluate(5)))
    torch.distributed.destroy_process_group()


def two_processes(port, device):
    """What each of two processes gives."""
    context = get_context("fork")
    queue = context.Queue()
    ranks = [context.Process(target=_rank, args=(rank, 2, port, device, queue)) for rank in range(2)]
    for process in ranks:
        process.start()
    found = dict(queue.get(timeout=60) for _ in ranks)
    for process in ranks:
        process.join()
    return found[0], found[1]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_two_processes_give_what_one_does(unused_port, device):
    both = {"mean/value": 2.0, "mean/count": 5}
    assert two_processes(unused_port, device) == (both, both)


def test_unsynced_processes_keep_their_own_numbers(unused_port):
    # 0, 2, 4 and 1, 3: the padding of the second is dropped there too.
    first, second = two_processes(unused_port, "unsynced")
    assert first == {"mean/value": 2.0, "mean/count": 3}
    assert second == {"mean/value": 2.0, "mean/count": 2}


@pytest.fixture
def unused_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
