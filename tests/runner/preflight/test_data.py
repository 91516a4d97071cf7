"""The dataset against the model and the disk."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
from torch import nn

from toolkit.dataset import ConcatDataset, RepeatDataset
from toolkit.runner.preflight import PreflightError, check_data
from toolkit.runner.preflight import data as data_module


class Images:
    """A dataset as preflight sees it."""

    METAINFO: dict = {}

    def __init__(self, paths=(), classes=("a", "b", "c")):
        self.paths = list(map(str, paths))
        self.metainfo = {"classes": classes}

    def __len__(self):
        return len(self.paths)

    def get_data_info(self, index):
        return {"img_path": self.paths[index]}


def told(*args, **kwargs):
    with pytest.raises(PreflightError) as caught:
        check_data(*args, **kwargs)
    return [str(one) for one in caught.value.problems]


def head(number, **more):
    return dict(type="BBoxHead", num_classes=number, **more)


@pytest.mark.parametrize(
    "model",
    [
        {
            "roi_head": {"bbox_head": head(3), "mask_head": head(3)},
            "rpn_head": {"type": "RPNHead", "num_classes": 1},
        },
        {"rpn_head": head(1)},
        {"bbox_head": head(3, loss_cls={"num_classes": 9}), "backbone": {"num_classes": 1000}},
        {"roi_head": {"bbox_head": [head(3), head(3)], "semantic_head": head(183)}},
        {"head": head(3), "data_preprocessor": {"num_classes": 3}},
    ],
)
def test_agreement(model):
    check_data(model, Images(), "train")


@pytest.mark.parametrize(
    ("model", "paths"),
    [
        ({"bbox_head": head(80)}, ["model.bbox_head"]),
        ({"roi_head": {"bbox_head": head(80), "mask_head": head(3)}}, ["model.roi_head.bbox_head"]),
        (
            {"roi_head": {"bbox_head": [head(3), head(80), head(80)]}},
            ["model.roi_head.bbox_head.1", "model.roi_head.bbox_head.2"],
        ),
        ({"head": head(3), "data_preprocessor": {"num_classes": 80}}, ["model.data_preprocessor"]),
    ],
)
def test_disagreement_names_both_numbers_and_the_override(model, paths):
    found = told(model, Images(), "train")
    assert len(found) == len(paths)
    for one, path in zip(found, paths, strict=True):
        assert one.startswith(
            f"{path}: num_classes=80, but the train dataset (Images, metainfo['classes']) has 3"
        )
        assert "(a, b, c)" in one
        assert f"write {path}.num_classes=3" in one


def test_a_built_model_tells_its_defaults_too():
    model = nn.Module()
    model.bbox_head = nn.Module()
    model.bbox_head.num_classes = 80
    model.rpn_head = nn.Module()
    model.rpn_head.num_classes = 1
    (found,) = told(model, Images(), "val")
    assert found.startswith("model.bbox_head: num_classes=80")


def test_data_without_classes_say_nothing():
    check_data({"bbox_head": head(80)}, Images(classes=None), "train")
    check_data({"bbox_head": head(80)}, object(), "train")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), rng.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    return tmp_path


def test_good_images(folder):
    check_data({}, Images(sorted(folder.iterdir())), "train")


def test_bad_images_are_named(folder):
    whole = (folder / "0.jpg").read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not an image")
    png = cv2.imencode(".png", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    (folder / "cut.png").write_bytes(png[:30])
    (folder / "good.jpg").write_bytes(whole)
    (found,) = told({}, Images([*sorted(folder.iterdir()), folder / "gone.jpg"]), "val")
    assert found.startswith("4 images of the val data can't be read")
    for name, reason in (("empty.jpg", "empty"), ("text.jpg", "not an image"), ("gone.jpg", "no such file")):
        assert f"{folder / name} ({reason}" in found
    assert f"{folder / 'cut.png'} (damaged)" in found
    assert "good.jpg" not in found


def test_a_large_set_is_opened_not_decoded(folder, monkeypatch):
    monkeypatch.setattr(data_module, "DECODE_UP_TO", 2)
    monkeypatch.setattr(data_module, "_decode", lambda path: pytest.fail("decoded"))
    check_data({}, Images(sorted(folder.iterdir())), "train")
    (found,) = told({}, Images([*sorted(folder.iterdir()), folder / "gone.jpg"]), "train")
    assert "gone.jpg (no such file)" in found


def test_it_stops_when_its_time_is_up_and_says_so(folder, monkeypatch, caplog):
    monkeypatch.setattr(data_module, "_CHUNK", 2)
    with caplog.at_level(logging.INFO, logger="toolkit"):
        check_data({}, Images(sorted(folder.iterdir())), "train", time_budget=0.0)
    assert "checked 2 of 4 images of the train data" in caplog.text


def test_wrappers_are_looked_through(folder):
    good, bad = Images(sorted(folder.iterdir())), Images([folder / "gone.jpg"])

    class Repeat(RepeatDataset):
        def __init__(self, dataset):
            self.dataset = dataset

    class Concat(ConcatDataset):
        def __init__(self, datasets):
            self.datasets = datasets

    whole = Repeat(Concat([good, bad]))
    assert list(data_module.parts_of(whole)) == [good, bad]
