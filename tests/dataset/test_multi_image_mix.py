"""MultiImageMixDataset."""

from __future__ import annotations

import random

import numpy as np
import pytest

from toolkit.dataset import BaseDataset, MultiImageMixDataset, build_dataloader, set_position
from toolkit.registry import DATASETS, TRANSFORMS
from toolkit.utils import DataError


class Numbers(BaseDataset):
    """Samples of a number each; the pipeline drops those in `dropped`."""

    dropped: frozenset = frozenset()

    def __init__(self, count=10):
        self.count = count
        super().__init__(pipeline=[self.draw])

    def load_data_list(self):
        return [{"n": n} for n in range(self.count)]

    def draw(self, results):
        return None if results["n"] in self.dropped else {**results, "noise": random.random()}

    def get_cat_ids(self, idx):
        return [idx % 3]


class Mix:
    """Adds up three samples."""

    def get_indexes(self, dataset):
        return [np.random.randint(len(dataset)) for _ in range(2)]

    def __call__(self, results):
        others = results["mix_results"]
        assert len(others) == 2
        results["sum"] = results["noise"] + sum(one["noise"] for one in others)
        results["of"] = [one["n"] for one in others]
        return results


class Once:
    """Mixes in one sample, and refuses one in two."""

    def get_indexes(self, dataset):
        return random.randrange(len(dataset))

    def __call__(self, results):
        assert len(results["mix_results"]) == 1
        return results if random.random() < 0.5 else None


class Mark:
    def __call__(self, results):
        assert "mix_results" not in results
        return {**results, "marked": True}


@pytest.fixture(autouse=True)
def registered():
    if "MixForTest" not in TRANSFORMS.module_dict:
        TRANSFORMS.register_module(name="MixForTest", module=Mix)


def test_transforms_get_the_samples_that_they_ask_for():
    dataset = MultiImageMixDataset(Numbers(), [{"type": "MixForTest"}, Mark()])
    sample = dataset[3]
    assert len(dataset) == 10
    assert sample["n"] == 3
    assert len(sample["of"]) == 2
    assert sample["marked"]
    assert "mix_results" not in sample
    assert dataset.get_cat_ids(4) == [1]
    assert dataset.get_data_info(5)["n"] == 5


def test_transforms_are_left_out_by_name_with_or_without_a_scope():
    dataset = MultiImageMixDataset(Numbers(), [{"type": "MixForTest"}, Mark()], skip_type_keys=["MixForTest"])
    assert "sum" not in dataset[0]
    dataset.update_skip_type_keys(["mmdet.Mark"])
    assert "sum" in dataset[0]
    assert "marked" not in dataset[0]
    dataset.update_skip_type_keys(None)
    assert {"sum", "marked"} <= dataset[0].keys()
    for wrong in ("Mark", [Mark]):
        with pytest.raises(TypeError, match="list of names"):
            dataset.update_skip_type_keys(wrong)


def test_a_dropped_sample_is_tried_again_and_then_an_error():
    random.seed(1)
    dataset = MultiImageMixDataset(Numbers(), [Once()])
    assert [dataset[n]["n"] for n in range(10)] == list(range(10))
    dataset = MultiImageMixDataset(Numbers(), [lambda results: None], max_refetch=4)
    with pytest.raises(DataError, match="dropped sample 2 4 times"):
        dataset[2]


def test_the_loader_reaches_the_switch_and_batches_do_not_depend_on_workers_or_resume():
    def loader(workers):
        dataset = DATASETS.build({"type": "MultiImageMixDataset", "dataset": Numbers(), "pipeline": [Mix()]})
        sampler = {"type": "DefaultSampler", "shuffle": True}
        return build_dataloader(
            {"dataset": dataset, "batch_size": 3, "num_workers": workers, "sampler": sampler}, seed=5
        )

    def epochs(one, first=0, skipped=0):
        drawn = []
        for epoch in range(first, 2):
            set_position(one, epoch, skipped if epoch == first else 0)
            drawn += [batch["sum"] for batch in one]
        return drawn

    whole = epochs(loader(0))
    assert len(whole) == 8
    assert epochs(loader(2)) == whole
    assert epochs(loader(0), 1, 2) == whole[6:]
    one = loader(0)
    one.dataset.update_skip_type_keys(["Mix"])
    assert "sum" not in next(iter(one))


def test_what_is_no_pipeline_is_refused():
    with pytest.raises(TypeError, match="pipeline must be a list of transforms, but got Mark"):
        MultiImageMixDataset(Numbers(), Mark())
