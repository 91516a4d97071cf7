"""VOCDataset: reading, filtering, and what it says of bad input."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from toolkit.detection.datasets import VOCDataset
from toolkit.detection.registry import DATASETS
from toolkit.utils import DataError

BCCD = Path(__file__).parents[4] / "shared" / "data" / "BCCD"
CLASSES = {"classes": ("cat", "dog", "zebra")}


def test_boxes_count_from_zero_and_difficult_ones_are_ignored(pets):
    dataset = VOCDataset(**pets.config(metainfo=CLASSES))
    first = dataset.get_data_info(0)
    assert first["img_id"] == "000001"
    assert (first["height"], first["width"]) == (40, 60)
    assert [instance["bbox"] for instance in first["instances"]] == [[0, 1, 30, 39], [9, 9, 13, 29]]
    assert [instance["bbox_label"] for instance in first["instances"]] == [0, 1]
    assert [instance["ignore_flag"] for instance in first["instances"]] == [0, 0]
    assert dataset.get_data_info(1)["instances"][0]["ignore_flag"] == 1
    assert dataset.get_cat_ids(0) == [0, 1]


def test_images_of_any_suffix_and_sizes_from_the_image(pets):
    dataset = VOCDataset(**pets.config(metainfo=CLASSES))
    assert dataset.get_data_info(1)["img_path"].endswith(os.path.join("JPEGImages", "000002.png"))
    assert os.path.exists(dataset.get_data_info(1)["img_path"])
    # the last one has no <size>
    assert (dataset.get_data_info(3)["height"], dataset.get_data_info(3)["width"]) == (16, 20)


def test_the_year_is_part_of_the_metainfo(pets, make_voc):
    assert VOCDataset(**pets.config(metainfo=CLASSES)).metainfo["dataset_type"] == "VOC2007"
    other = make_voc("VOC2012")
    other.add("a", [("cat", (1, 1, 9, 9), False)])
    other.list("trainval", "a")
    only_cats = {"classes": ("cat",)}
    assert VOCDataset(**other.config(metainfo=only_cats)).metainfo["dataset_type"] == "VOC2012"
    custom = VOCDataset(**{**other.config(metainfo=only_cats), "data_root": str(other.root)})
    assert custom.metainfo["classes"] == ("cat",)


def test_without_metainfo_the_classes_are_vocs():
    assert len(VOCDataset.METAINFO["classes"]) == len(VOCDataset.METAINFO["palette"]) == 20
    assert VOCDataset.METAINFO["classes"] == tuple(sorted(VOCDataset.METAINFO["classes"]))


def test_filters_count_what_they_drop(pets):
    cfg = {"filter_empty_gt": True, "min_size": 20, "bbox_min_size": 10}
    dataset = VOCDataset(**pets.config(metainfo=CLASSES, filter_cfg=cfg))
    assert [dataset.get_data_info(i)["img_id"] for i in range(len(dataset))] == ["000001", "000002"]
    assert sorted(dataset.filter_counts.values()) == [1, 1]
    # the dog is 4 pixels wide
    assert [one["ignore_flag"] for one in dataset.get_data_info(0)["instances"]] == [0, 1]


def test_filters_are_for_training(pets):
    cfg = {"filter_empty_gt": True, "min_size": 20, "bbox_min_size": 10}
    dataset = VOCDataset(**pets.config(metainfo=CLASSES, filter_cfg=cfg, test_mode=True))
    assert len(dataset) == 4
    assert [one["ignore_flag"] for one in dataset.get_data_info(0)["instances"]] == [0, 0]


def test_objects_of_other_classes_are_left_out(pets):
    dataset = VOCDataset(**pets.config(metainfo={"classes": ("dog",)}))
    assert [one["bbox_label"] for one in dataset.get_data_info(0)["instances"]] == [0]


def test_an_empty_dataset_says_why(pets):
    with pytest.raises(DataError, match=r"4 by shorter side below 100 pixels \(min_size\)"):
        VOCDataset(**pets.config(metainfo=CLASSES, filter_cfg={"min_size": 100}))


def test_a_class_that_is_not_there_is_named_with_the_nearest_and_what_is(pets):
    with pytest.raises(DataError, match=r"'zebre'; did you mean 'zebra'\?.*cat \(2\).*dog \(1\)"):
        VOCDataset(**pets.config(metainfo={"classes": ("cat", "dog", "zebre")}))
    with pytest.raises(DataError, match=r"'aeroplane', 'bicycle'.* and 13 more of the 20 classes"):
        VOCDataset(**pets.config())


def test_a_rare_class_may_be_missing_from_a_split(pets):
    # the list of the test split holds one cat alone, but the other files hold dogs and zebras
    assert len(VOCDataset(**pets.config("test", metainfo=CLASSES))) == 1


def test_boxes_without_area_are_ignored_and_reported(make_voc, caplog):
    voc = make_voc("VOC2007")
    voc.add("a", [("cat", (5, 5, 5, 9), False), ("cat", (5, 5, 15, 9), False)])
    voc.list("trainval", "a")
    dataset = VOCDataset(**voc.config(metainfo={"classes": ("cat",)}))
    assert [instance["ignore_flag"] for instance in dataset.get_data_info(0)["instances"]] == [1, 0]
    assert "a.xml: (4, 4, 4, 8)" in caplog.text


def test_a_test_set_may_lack_a_class_that_is_not_misspelt(pets, caplog):
    meta = {"classes": ("cat", "dog", "zebra", "unicorn")}
    VOCDataset(**pets.config(metainfo=meta, test_mode=True))
    assert "unicorn" in caplog.text
    with pytest.raises(DataError, match=r"unicorn.*allow_missing_classes=True"):
        VOCDataset(**pets.config(metainfo=meta))
    assert len(VOCDataset(**pets.config(metainfo=meta, allow_missing_classes=True))) == 4


def test_missing_files_are_named_with_what_is_there(pets):
    with pytest.raises(DataError, match=r"'trainvall.txt'; did you mean 'trainval.txt'"):
        VOCDataset(**pets.config("trainvall", metainfo=CLASSES))
    with pytest.raises(DataError, match=r"VOCdefkit.*did you mean 'VOCdevkit'"):
        VOCDataset(**pets.config(metainfo=CLASSES) | {"data_root": str(pets.root.parent / "VOCdefkit")})
    pets.list("bad", "000001", "000009")
    with pytest.raises(DataError, match=r"1 of the 2 images .*: 000009"):
        VOCDataset(**pets.config("bad", metainfo=CLASSES))
    (pets.root / "VOC2007" / "Annotations" / "000001.xml").unlink()
    with pytest.raises(DataError, match=r"000001\.xml"):
        VOCDataset(**pets.config(metainfo=CLASSES))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotation>", "is no valid XML"),
        ("<annotation><object><name>cat</name></object></annotation>", "isn't a VOC annotation"),
        (
            "<annotation><size><width>x</width><height>3</height></size></annotation>",
            "isn't a VOC annotation",
        ),
    ],
)
def test_a_broken_annotation_is_named(pets, text: str, words: str):
    (pets.root / "VOC2007" / "Annotations" / "000002.xml").write_text(text)
    with pytest.raises(DataError, match=rf"000002.xml' {words}"):
        VOCDataset(**pets.config(metainfo=CLASSES))


def test_a_mistyped_filter_is_named(pets):
    with pytest.raises(DataError, match="did you mean 'min_size'"):
        VOCDataset(**pets.config(metainfo=CLASSES, filter_cfg={"minsize": 3}))


def test_two_years_joined_and_repeated_as_the_voc0712_config_does(pets, make_voc):
    other = make_voc("VOC2012")
    other.add("2008_1", [("cat", (1, 1, 40, 40), False), ("dog", (1, 1, 40, 40), False)])
    other.list("trainval", "2008_1")
    parts = [
        {"type": "VOCDataset", **voc.config(metainfo={"classes": ("cat", "dog")}, pipeline=[])}
        for voc in (pets, other)
    ]
    joined = {"type": "ConcatDataset", "ignore_keys": ["dataset_type"], "datasets": parts}
    dataset = DATASETS.build({"type": "RepeatDataset", "times": 3, "dataset": joined})
    assert len(dataset) == 15
    assert dataset.metainfo["classes"] == ("cat", "dog")
    assert dataset.get_data_info(4)["img_id"] == dataset.get_data_info(14)["img_id"] == "2008_1"


@pytest.mark.skipif(not BCCD.is_dir(), reason="the BCCD data set is not beside the repository")
def test_real_files_are_read_in_no_time():
    start = time.perf_counter()
    dataset = VOCDataset(
        data_root=str(BCCD),
        ann_file="ImageSets/Main/trainval.txt",
        metainfo={"classes": ("RBC", "WBC", "Platelets")},
        filter_cfg={"filter_empty_gt": True},
    )
    assert time.perf_counter() - start < 1
    assert len(dataset) == 292
    counts = [0, 0, 0]
    for index in range(len(dataset)):
        for label in dataset.get_cat_ids(index):
            counts[label] += 1
    assert counts == [3350, 301, 292]


def test_bad_input_is_skipped_or_refused_as_the_policy_says(make_voc, caplog):
    voc = make_voc()
    voc.add("a", [("cat", (5, 5, 5, 9), False), ("cat", (61, 5, 70, 9), False), ("cat", (5, 5, 9, 9), False)])
    voc.add("b", [("cat", (5, 5, 9, 9), False)])
    cv2.imwrite(str(voc.root / "VOC2007" / "JPEGImages" / "b.jpg"), np.zeros((9, 9, 3), np.uint8))
    voc.list("trainval", "a", "b", "a")
    arguments = voc.config(metainfo={"classes": ("cat",)})
    dataset = VOCDataset(**arguments)
    assert [info["img_id"] for info in dataset.data_list] == ["a"]
    assert [one["ignore_flag"] for one in dataset.get_data_info(0)["instances"]] == [1, 0]
    for words in (
        "finds 4 faults", "1 boxes without area", "a.xml: (4, 4, 4, 8)", "1 objects outside their image",
        "a.xml: (60, 4, 69, 8)", "1 images that are listed twice: a", "b.jpg (9x9, annotated 60x40)",
    ):  # fmt: skip
        assert words in caplog.text
    with pytest.raises(DataError, match="finds 4 faults"):
        VOCDataset(**arguments, on_bad_sample="error")
