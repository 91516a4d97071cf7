"""The survey of configs, on a few small ones of which each fails at another step."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

GOOD = f"""
_base_ = ['{ROOT}/configs/_base_/models/faster-rcnn_r18_fpn_small.py',
          '{ROOT}/configs/_base_/datasets/coco_detection.py',
          '{ROOT}/configs/_base_/schedules/schedule_1x.py',
          '{ROOT}/configs/_base_/default_runtime.py']
"""
CONFIGS = {
    "_base_/models/part.py": "model = dict(type='FasterRCNN')",
    "good/a.py": GOOD,
    "good/b.py": GOOD + "optim_wrapper = dict(optimizer=dict(lr=0.01))",
    "hook/a.py": GOOD + "custom_hooks = [dict(type='NoSuchHook')]",
    "head/a.py": GOOD + "model = dict(roi_head=dict(bbox_head=dict(type='NoSuchHead')))",
    "step/a.py": GOOD + "model = dict(neck=dict(out_channels=7))",
    "text/a.py": "model = dict(",
}


@pytest.fixture(scope="module")
def tools() -> Iterator[None]:
    """Lets modules beside the tools be imported."""
    sys.path.insert(0, str(ROOT / "tools"))
    yield
    sys.path.remove(str(ROOT / "tools"))


@pytest.fixture(scope="module")
def surveyed(tools: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the survey's files."""
    from zoo_report import main

    folder = tmp_path_factory.mktemp("zoo")
    for name, text in CONFIGS.items():
        path = folder / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    main(["--configs", f"{folder}/configs", "--folder", f"{folder}", "--out", f"{folder}/zoo.md"])
    return folder


def test_each_config_gets_as_far_as_it_does(surveyed: Path) -> None:
    report: dict[str, Any] = json.loads((surveyed / "report.json").read_text())
    steps = {
        name: [row[step] for step in ("load", "build", "train", "predict")] for name, row in report.items()
    }
    assert steps == {
        "_base_/models/part.py": [True, False, False, False],
        "good/a.py": [True] * 4,
        "good/b.py": [True] * 4,
        "head/a.py": [True, False, False, False],
        "hook/a.py": [True, True, False, False],
        "step/a.py": [True, True, False, False],
        "text/a.py": [False] * 4,
    }
    assert report["head/a.py"]["lacking"] == ["NoSuchHead"]
    assert report["hook/a.py"]["reason"] == "no NoSuchHook"
    assert "RuntimeError" in report["step/a.py"]["reason"]


def test_the_page_counts_by_family(surveyed: Path) -> None:
    page = (surveyed / "zoo.md").read_text()
    assert "**2 of 7 configs load, build, train and predict.**" in page
    assert "| `good` | 2 | 2 | 2 | 2 | 2 | 2 |" in page
    assert "| `hook` | 1 | 1 | 1 | 0 | 0 | 0 | `NoSuchHook` (1) |" in page
    assert "| `_base_` (parts, not whole configs) | 1 | 1 |" in page


def test_nothing_is_downloaded(tools: None) -> None:
    from zoo.model import without_downloads

    xavier = {"type": "Xavier", "layer": "Conv2d"}
    cfg = {
        "pretrained": "torchvision://resnet50",
        "backbone": {"type": "TIMMBackbone", "pretrained": True, "features_only": True},
        "neck": {"init_cfg": {"checkpoint": "https://example.org/pvt.pth"}},
        "head": {"init_cfg": xavier, "teacher_ckpt": "https://example.org/gfl.pth"},
        "stages": [{"init_cfg": {"type": "Pretrained", "checkpoint": "a.pth"}}, {"pretrained": None}],
    }
    assert without_downloads(cfg) == {
        "backbone": {"type": "TIMMBackbone", "features_only": True},
        "neck": {},
        "head": {"init_cfg": xavier},
        "stages": [{}, {"pretrained": None}],
    }


def test_places_are_told_from_the_configs_folder(tools: None) -> None:
    from zoo.trial import last_line

    for folder in ("/home/me/zoo/configs", "work_dirs/zoo/mmdet/.mim/configs"):
        error = ValueError(f"{folder}/sort/a.py:2: the base 'b.py' is missing")
        assert last_line(error) == "ValueError: sort/a.py:2: the base 'b.py' is missing"


def test_outcomes_are_remembered_with_the_code_that_they_are_of(tools: None, tmp_path: Path) -> None:
    from zoo.survey import Memory

    path = tmp_path / "trials.json"
    passed, failed = dict(build=True, train=True, predict=True), dict(build=True, train=False, predict=False)
    memory = Memory(path, "old")
    memory.put("x", passed)
    memory.put("y", failed)
    memory.save()
    assert Memory(path, "old").get("y") == failed
    assert Memory(path, "new").get("x") is None
    assert Memory(path, "new", keep_passed=True).get("x") == passed
    assert Memory(path, "new", keep_passed=True).get("y") is None


def test_a_call_that_hangs_or_dies_ends_with_a_reason(tools: None) -> None:
    from zoo.jobs import run_all

    calls = [("slow", (time.sleep, 60)), ("dead", (os._exit, 3)), ("good", (abs, -4))]
    done = {
        key: (result, reason)
        for key, result, reason in run_all(lambda call, value: call(value), calls, 2, 1.0, 64)
    }
    assert done["slow"] == (None, "not done within 1 s")
    assert done["dead"] == (None, "its process ended with code 3")
    assert done["good"] == (4, None)
