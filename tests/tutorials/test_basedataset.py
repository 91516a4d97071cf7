"""`BaseDataset`: the annotation file, classes of one's own, saving memory and time, wrappers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from toolkit.dataset import (
    BaseDataset,
    ClassBalancedDataset,
    ConcatDataset,
    RepeatDataset,
    force_full_init,
)
from toolkit.registry import DATASETS


@DATASETS.register_module(force=True)
class ToyDataset(BaseDataset):
    """Two images, each with instances, as in the tutorial."""

    METAINFO = {"classes": ("cat", "dog")}

    def parse_data_info(self, raw_data_info: dict) -> dict | list[dict]:
        info = super().parse_data_info(raw_data_info)
        assert isinstance(info, dict)
        return info

    def filter_data(self) -> list[dict]:
        least = (self.filter_cfg or {}).get("min_height", 0)
        return [info for info in self.data_list if info["height"] >= least]

    def get_cat_ids(self, idx: int) -> list[int]:
        return [instance["bbox_label"] for instance in self.get_data_info(idx)["instances"]]


def sample(index: int) -> dict[str, Any]:
    label = int(index > 2)
    instances = [{"bbox": [0, 0, 10, 20], "bbox_label": label}]
    return {"img_path": f"{index}.jpg", "height": 10 * index, "width": 10, "instances": instances}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    content = {"metainfo": {"task": "toy"}, "data_list": [sample(index) for index in range(4)]}
    (tmp_path / "annotations" / "train.json").write_text(json.dumps(content))
    return tmp_path


def made(root: Path, **kwargs: Any) -> ToyDataset:
    return ToyDataset(
        data_root=str(root), data_prefix={"img_path": "train/"}, ann_file="annotations/train.json", **kwargs
    )


def add_label(results: dict[str, Any]) -> dict[str, Any]:
    return {**results, "label": results["instances"][0]["bbox_label"]}


def test_reading(root: Path) -> None:
    data = made(root, pipeline=[add_label])
    assert len(data) == 4
    assert data.metainfo == {"classes": ("cat", "dog"), "task": "toy"}
    assert data.get_data_info(3)["img_path"] == os.path.join(str(root), "train/", "3.jpg")
    assert data[3]["label"] == 1
    assert data[3]["sample_idx"] == 3
    assert made(root, metainfo={"classes": ("a", "b")}).metainfo["classes"] == ("a", "b")


def test_in_a_config(root: Path) -> None:
    cfg = {"type": "ToyDataset", "data_root": str(root), "ann_file": "annotations/train.json"}
    assert len(DATASETS.build(cfg)) == 4


def test_filtering_and_subsets(root: Path) -> None:
    assert len(made(root, filter_cfg={"min_height": 20})) == 2
    assert len(made(root, indices=3)) == 3
    assert [made(root, indices=[0, 2]).get_data_info(i)["height"] for i in (0, 1)] == [0, 20]
    whole = made(root)
    subset = whole.get_subset([1, 3])
    assert (len(whole), len(subset), subset.get_data_info(1)["height"]) == (4, 2, 30)
    whole.get_subset_(2)
    assert len(whole) == 2


@pytest.mark.parametrize("serialize_data", [True, False])
def test_lazy_and_serialised(root: Path, serialize_data: bool) -> None:
    data = made(root, lazy_init=True, serialize_data=serialize_data)
    assert data.metainfo["classes"] == ("cat", "dog")
    assert not data.data_list
    data.full_init()
    assert data.get_data_info(2)["height"] == 20


def test_a_bad_sample_is_drawn_anew_in_training_only(root: Path) -> None:
    def only_dogs(results: dict[str, Any]) -> dict[str, Any] | None:
        return results if add_label(results)["label"] else None

    assert made(root, pipeline=[only_dogs])[0]["sample_idx"] == 3
    with pytest.raises(Exception, match="test"):
        made(root, pipeline=[only_dogs], test_mode=True)[0]


def test_wrappers(root: Path) -> None:
    both = ConcatDataset([made(root), made(root, indices=2)])
    assert len(both) == 6
    assert both.get_data_info(5)["height"] == 10
    assert both.get_dataset_source(5) == 1
    assert len(RepeatDataset(made(root), times=3)) == 12
    assert RepeatDataset(made(root), times=3).get_data_info(9)["height"] == 10
    balanced = ClassBalancedDataset(made(root), oversample_thr=0.9)
    heights = [balanced.get_data_info(i)["height"] for i in range(len(balanced))]
    assert heights == [0, 0, 10, 10, 20, 20, 30, 30]  # r = ceil(sqrt(0.9 / 0.75)), ceil(sqrt(0.9 / 0.25)) = 2
    data = {
        "type": "RepeatDataset",
        "times": 2,
        "dataset": {"type": "ToyDataset", "data_root": str(root), "ann_file": "annotations/train.json"},
    }
    assert len(DATASETS.build(data)) == 8


def test_a_method_that_needs_the_samples(root: Path) -> None:
    class Heights(ToyDataset):
        @force_full_init
        def total(self) -> int:
            return sum(self.get_data_info(i)["height"] for i in range(len(self.data_list)))

    data = Heights(
        data_root=str(root), ann_file="annotations/train.json", lazy_init=True, serialize_data=False
    )
    assert data.total() == 60
    with pytest.raises(AttributeError, match="full_init"):
        Heights.total(object())  # type: ignore[arg-type]
