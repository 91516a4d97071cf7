"""Transforms against what MMDetection 3.3.0 computes with the same random draws."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.registry import TRANSFORMS

FOLDER = Path(__file__).parent / "reference"
FIGURES = json.loads((FOLDER / "figures.json").read_text())
# MMDetection cuts off what is rounded here, or computes in float64: a level of 255 at most.
ROUNDED = {"Sharpness", "RandAugment", "MixUp", "MixUp oblong", "CachedMixUp"}
KINDS = {"Boxes": lambda boxes: boxes, "BitmapMasks": BitmapMasks, "PolygonMasks": PolygonMasks}


@pytest.fixture(scope="module")
def ours():
    spec = importlib.util.spec_from_file_location("reference_cases", FOLDER / "cases.py")
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    return cases.run_cases(TRANSFORMS.build, KINDS)


@pytest.mark.parametrize("name", FIGURES)
def test_a_transform_gives_what_mmdetection_gives(ours, name):
    assert len(ours[name]) == len(FIGURES[name])
    for mine, figures in zip(ours[name], FIGURES[name], strict=True):
        assert (mine is None) == (figures is None)
        if figures is None:
            continue
        assert mine["size"] == figures["size"]
        assert np.abs(np.subtract(mine["colors"], figures["colors"])).max() <= (
            0.7 if name in ROUNDED else 0.011
        )
        assert mine.get("labels") == figures.get("labels")
        boxes = [np.asarray(one["boxes"]).reshape(-1, 4) for one in (mine, figures)]
        assert np.allclose(*boxes, atol=2e-3)
        assert mine.get("seg") == figures.get("seg")
        if "areas" in figures:
            assert mine["areas"] == figures["areas"]


def test_the_cases_are_not_trivial(ours):
    """A transform that did nothing would agree with another one that does nothing."""
    assert set(ours) == set(FIGURES)
    plain = {"AutoAugment": 1, "Mosaic": 1}
    for name in plain:
        assert len({json.dumps(one["colors"]) for one in FIGURES[name] if one}) > plain[name]
