"""Named sets of validation data: each is checked under its own path."""

from __future__ import annotations

import pytest

from toolkit.config import Config
from toolkit.runner.preflight import PreflightError, check


@pytest.fixture
def named(good):
    """The good config with two validation sets."""
    loader = good["val_dataloader"]
    good["val_dataloader"] = {
        "clean": {**loader, "dataset": dict(loader["dataset"])},
        "noisy": {**loader, "dataset": dict(loader["dataset"])},
    }
    return good


def problems(cfg, mode="train"):
    with pytest.raises(PreflightError) as caught:
        check(cfg, mode)
    return [str(one) for one in caught.value.problems]


@pytest.mark.parametrize("mode", ["train", "test", "infer"])
def test_a_good_one_passes(named, mode):
    check(Config(named), mode)
    named["val_evaluator"] = {name: dict(named["val_evaluator"]) for name in ("clean", "noisy")}
    check(Config(named), mode)


def test_problems_stand_under_the_path_of_their_set(named, tmp_path):
    noisy = named["val_dataloader"]["noisy"]
    noisy["btach_size"] = 1
    noisy["dataset"]["anfile"] = "x"
    named["val_dataloader"]["clean"]["dataset"]["data_root"] = str(tmp_path / "zzz")
    named["val_evaluator"] = {"clean": {"type": "VOCMetrc"}, "noisy": {"type": "VOCMetric", "metrc": 1}}
    text = "\n".join(problems(named))
    assert "val_dataloader.noisy: a dataloader got 'btach_size'" in text
    assert "val_dataloader.noisy.dataset: VOCDataset got 'anfile'; did you mean 'ann_file'?" in text
    assert "val_dataloader.clean.dataset.data_root: there is no" in text
    assert "val_evaluator.clean: no metric is called 'VOCMetrc'" in text
    assert "val_evaluator.noisy: VOCMetric got 'metrc'; did you mean 'metric'?" in text


def test_a_set_without_a_dataset(named):
    del named["val_dataloader"]["noisy"]["dataset"]
    (found,) = problems(named)
    assert "val_dataloader.noisy: a dataloader needs 'dataset'" in found


def test_names_that_differ(named):
    named["val_evaluator"] = {"clean": dict(named["val_evaluator"]), "nosy": dict(named["val_evaluator"])}
    (found,) = problems(named)
    assert "did you mean 'noisy'" in found
