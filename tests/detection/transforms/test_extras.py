"""Albu, Corrupt and InstaBoost: what they hand to their packages, and what they say without them.

The packages aren't among the tests' needs; stand-ins of the few names that are used take their places.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.registry import TRANSFORMS
from toolkit.detection.transforms import Albu, Corrupt, InstaBoost
from toolkit.runner.preflight.slots import TRANSFORM
from toolkit.runner.preflight.walk import Walker
from toolkit.utils.errors import BuildError, ConfigError

ALBU = [
    {"type": "Cut", "size": 8},
    {"type": "OneOf", "transforms": [{"type": "Cut", "size": 20}], "p": 0.1},
]


class Cut:
    """Keeps the upper left corner, and the boxes that begin in it."""

    def __init__(self, size: int) -> None:
        self.size = size


class OneOf:
    def __init__(self, transforms: list[Cut], p: float) -> None:
        self.size = transforms[0].size


def compose(steps, bbox_params=None):
    size = min(step.size for step in steps)

    def run(image, masks=(), bboxes=(), places=()):
        kept = [number for number, box in enumerate(bboxes) if max(box[:2]) < size]
        return {
            "image": image[:size, :size],
            "masks": [mask[:size, :size] for mask in masks],
            "bboxes": [bboxes[number] for number in kept],
            "places": [places[number] for number in kept],
        }

    return run


@pytest.fixture
def albumentations(monkeypatch):
    module = ModuleType("albumentations")
    module.Cut, module.OneOf, module.Compose, module.BboxParams = Cut, OneOf, compose, SimpleNamespace
    monkeypatch.setitem(sys.modules, "albumentations", module)


def sample(polygons: bool = False) -> dict:
    boxes = np.asarray([[10, 10, 15, 15], [2, 3, 6, 7]], np.float32)
    bitmaps = np.zeros((2, 20, 20), np.uint8)
    bitmaps[0, 10:15, 10:15] = bitmaps[1, 3:7, 2:6] = 1
    outlines = [[np.asarray([x1, y1, x2, y1, x2, y2, x1, y2])] for x1, y1, x2, y2 in boxes]
    return {
        "img": np.zeros((20, 20, 3), np.uint8),
        "gt_bboxes": boxes,
        "gt_bboxes_labels": np.asarray([3, 4]),
        "gt_ignore_flags": np.asarray([False, True]),
        "gt_masks": PolygonMasks(outlines, 20, 20) if polygons else BitmapMasks(bitmaps, 20, 20),
    }


@pytest.mark.parametrize("polygons", [False, True])
def test_a_dropped_box_takes_all_of_its_object_along(albumentations, polygons):
    fields = {"label_fields": ["gt_bboxes_labels"], "filter_lost_elements": True, "type": "BboxParams"}
    results = Albu(ALBU, bbox_params=fields, keymap={"img": "image"})(sample(polygons))
    assert results["img_shape"] == (8, 8)
    assert results["gt_bboxes"].tolist() == [[2, 3, 6, 7]]
    assert results["gt_bboxes_labels"].tolist() == [4]
    assert results["gt_ignore_flags"].tolist() == [True]
    assert results["gt_masks"].get_bboxes().tolist() == [[2, 3, 6, 7]]


def test_a_sample_that_loses_all_objects(albumentations):
    cut = [{"type": "Cut", "size": 1}]
    kept = Albu(cut)(sample())
    assert kept["gt_bboxes"].shape == (0, 4)
    assert kept["gt_masks"].masks.shape == (0, 1, 1)
    assert Albu(cut, skip_img_without_anno=True)(sample()) is None
    assert Albu(cut)({"img": np.zeros((9, 9, 3), np.uint8)})["img_shape"] == (1, 1)


def test_mistakes_are_named(albumentations):
    with pytest.raises(BuildError, match="no 'Cot'; did you mean 'Cut'"):
        Albu([{"type": "Cot"}])
    with pytest.raises(ConfigError, match="keymap"):
        Albu(ALBU, keymap={"depth": "image"})
    with pytest.raises(ConfigError, match="with a type"):
        Albu([{"size": 3}])


def test_types_of_another_package_are_not_looked_up_before_a_run():
    walk = Walker()
    walk.visit({"type": "Albu", "transforms": ALBU, "bbox_params": {"type": "BboxParams"}}, TRANSFORM, "t")
    assert not walk.problems
    walk.visit({"type": "Albu", "transform": ALBU}, TRANSFORM, "t")
    assert "did you mean 'transforms'" in str(walk.problems[0])


@pytest.mark.parametrize(
    ("config", "package"),
    [
        ({"type": "Albu", "transforms": []}, "albumentations"),
        ({"type": "Corrupt", "corruption": "fog"}, "imagecorruptions"),
        ({"type": "InstaBoost"}, "instaboostfast"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, config, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BuildError, match=f"pip install {package}"):
        TRANSFORMS.build(config)


def test_corruptions_get_name_and_severity(monkeypatch):
    module = ModuleType("imagecorruptions")
    module.corrupt = lambda image, corruption_name, severity: image + len(corruption_name) * severity
    monkeypatch.setitem(sys.modules, "imagecorruptions", module)
    results = Corrupt("fog", severity=2)({"img": np.zeros((2, 2, 3), np.float32)})
    assert (results["img"] == 6).all()
    assert results["img"].dtype == np.uint8


def test_instaboost_moves_what_is_not_ignored(monkeypatch):
    module = ModuleType("instaboostfast")
    module.InstaBoostConfig = lambda *settings: settings

    def new_data(annotations, image, config, background):
        moved = [{**one, "bbox": [one["bbox"][0] + 1, *one["bbox"][1:]]} for one in annotations]
        return [*moved, {**moved[0], "bbox": [0, 0, 0, 5]}], image + 1

    module.get_new_data = new_data
    monkeypatch.setitem(sys.modules, "instaboostfast", module)
    instances = [
        {"bbox": [1, 2, 11, 22], "bbox_label": 3, "mask": [[1, 2, 3]], "ignore_flag": flag} for flag in (0, 1)
    ]
    given = {"img": np.zeros((2, 2, 3), np.uint8), "instances": instances}
    results = InstaBoost(aug_ratio=1.0)(dict(given))
    assert [one["bbox"] for one in results["instances"]] == [[2, 2, 12, 22], [1, 2, 11, 22]]
    assert (results["img"] == 1).all()
    assert InstaBoost(aug_ratio=0.0)(dict(given))["instances"] is instances
