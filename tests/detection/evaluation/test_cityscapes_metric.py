"""CityScapesMetric: the files that it writes, and its numbers where Cityscapes' package is installed."""

from __future__ import annotations

import importlib.util
import sys
import types

import cv2
import numpy as np
import pytest
import torch

from toolkit.detection.evaluation import CityScapesMetric
from toolkit.utils import BuildError, DataError

CLASSES = ("person", "car")
IDS = {"person": 24, "car": 26}
HAS_PACKAGE = importlib.util.find_spec("cityscapesscripts") is not None


@pytest.fixture
def labels(monkeypatch):
    """Cityscapes' ids of the classes, whether its package is there or not."""
    if HAS_PACKAGE:
        return
    for name in ("cityscapesscripts", "cityscapesscripts.helpers"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    module = types.ModuleType("cityscapesscripts.helpers.labels")
    module.name2label = {name: types.SimpleNamespace(id=number) for name, number in IDS.items()}
    monkeypatch.setitem(sys.modules, module.__name__, module)


def sample(root, name="ulm_1", masks=None):
    masks = np.zeros((2, 60, 80), bool) if masks is None else masks
    masks[0, :30, :30], masks[1, 30:, 40:] = True, True
    predicted = {
        "masks": torch.from_numpy(masks),
        "labels": torch.tensor([1, 0]),
        "scores": torch.tensor([0.5, 0.25]),
    }
    return {
        "img_path": str(root / "leftImg8bit" / "val" / "ulm" / f"{name}_leftImg8bit.png"),
        "pred_instances": predicted,
    }


def build(root, **kwargs):
    metric = CityScapesMetric(str(root / "out"), **kwargs)
    metric.dataset_meta = {"classes": CLASSES}
    return metric


def test_files_are_those_of_the_benchmark(tmp_path, labels):
    (tmp_path / "out" / "results").mkdir(parents=True)
    (tmp_path / "out" / "results" / "old.png").write_bytes(b"")
    metric = build(tmp_path, format_only=True)
    metric.process(None, [sample(tmp_path)])
    assert metric.evaluate(1) == {}
    folder = tmp_path / "out" / "results"
    assert sorted(path.name for path in folder.iterdir()) == [
        "ulm_1_leftImg8bit_0_car.png",
        "ulm_1_leftImg8bit_1_person.png",
        "ulm_1_leftImg8bit_pred.txt",
    ]
    lines = (folder / "ulm_1_leftImg8bit_pred.txt").read_text().splitlines()
    assert lines == ["ulm_1_leftImg8bit_0_car.png 26 0.5", "ulm_1_leftImg8bit_1_person.png 24 0.25"]
    mask = cv2.imread(str(folder / "ulm_1_leftImg8bit_0_car.png"), cv2.IMREAD_UNCHANGED)
    assert mask.sum() == 900


def test_what_is_missing_is_said(tmp_path, labels):
    with pytest.raises(BuildError, match="needs seg_prefix"):
        CityScapesMetric("out")
    with pytest.raises(BuildError, match="needs outfile_prefix"):
        CityScapesMetric(None, format_only=True)
    metric = build(tmp_path, seg_prefix=str(tmp_path / "gt"))
    metric.process(None, [sample(tmp_path)])
    with pytest.raises(
        DataError, match=r"no ground truth for 1 of the 1 images.*ulm_1_gtFine_instanceIds.png"
    ):
        metric.evaluate(1)
    one = sample(tmp_path)
    del one["pred_instances"]["masks"]
    with pytest.raises(DataError, match="the model predicts none"):
        metric.process(None, [one])


@pytest.mark.skipif(HAS_PACKAGE, reason="cityscapesscripts is installed")
def test_without_the_package_it_says_what_to_install():
    with pytest.raises(BuildError, match="pip install cityscapesscripts"):
        CityScapesMetric("out", seg_prefix="gt")


@pytest.mark.skipif(not HAS_PACKAGE, reason="cityscapesscripts is not installed")
def test_its_numbers(tmp_path):
    truth = np.zeros((60, 80), np.uint16)
    truth[:30, :30], truth[30:, 40:] = 26000, 24000
    (tmp_path / "gt" / "ulm").mkdir(parents=True)
    for name in ("ulm_1", "ulm_2"):
        cv2.imwrite(str(tmp_path / "gt" / "ulm" / f"{name}_gtFine_instanceIds.png"), truth)
    metric = build(tmp_path, seg_prefix=str(tmp_path / "gt"))
    metric.process(None, [sample(tmp_path), sample(tmp_path, "ulm_2")])
    values = metric.evaluate(2)
    assert values == pytest.approx({"cityscapes/mAP": 1, "cityscapes/AP@50": 1})
    missed = sample(tmp_path, "ulm_2")
    missed["pred_instances"] = {key: value[:1] for key, value in missed["pred_instances"].items()}
    metric.process(None, [sample(tmp_path), missed])
    assert metric.evaluate(2)["cityscapes/AP@50"] == pytest.approx(0.75, abs=0.02)
