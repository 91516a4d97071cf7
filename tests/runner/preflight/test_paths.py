"""Folders and files that are not there."""

from __future__ import annotations

import os

import pytest

from toolkit.runner.preflight import PreflightError, check


def problems(cfg, mode="train"):
    with pytest.raises(PreflightError) as caught:
        check(cfg, mode)
    return [str(one) for one in caught.value.problems]


def test_a_missing_root_is_told_once_with_the_nearest_name_and_the_fix(good, tmp_path):
    wrong = str(tmp_path / "dta" / "deep" / "VOC")
    good["data_root"] = good["train_dataloader"]["dataset"]["data_root"] = wrong
    (found,) = problems(good)
    assert found.startswith(f"train_dataloader.dataset.data_root: there is no {wrong!r}: ")
    assert f"{tmp_path} has no 'dta', did you mean 'data'?" in found
    assert found.endswith("Give its place with data_root=FOLDER")


def test_without_a_variable_the_fix_is_the_whole_key(good, tmp_path):
    good["val_dataloader"]["dataset"]["data_root"] = str(tmp_path / "zzzzzz")
    (found,) = problems(good)
    assert "it holds data" in found
    assert found.endswith("Give its place with val_dataloader.dataset.data_root=FOLDER")


def test_a_missing_annotation_file_and_prefix(good, tmp_path):
    dataset = good["train_dataloader"]["dataset"]
    dataset["ann_file"] = "lst.txt"
    dataset["data_prefix"] = {"sub_data_root": "VOC2007/"}
    found = problems(good)
    assert len(found) == 2
    assert "dataset.ann_file: there is no" in found[0]
    assert "has no 'lst.txt', did you mean 'list.txt'?" in found[0]
    assert "train_dataloader.dataset.ann_file=PATH" in found[0]
    assert "dataset.data_prefix.sub_data_root: there is no" in found[1]


def test_a_root_without_its_slash(good, tmp_path):
    """Configs of MMDetection join paths with a plus sign."""
    root = good["data_root"] = str(tmp_path / "nuclei")
    (tmp_path / "nuclei" / "annotations").mkdir(parents=True)
    (tmp_path / "nuclei" / "annotations" / "val.json").write_text("{}")
    dataset = good["val_dataloader"]["dataset"]
    dataset.pop("data_root")
    dataset["ann_file"] = root + "annotations/val.json"
    (found,) = [one for one in problems(good) if "val_dataloader.dataset.ann_file" in one]
    assert found.endswith(f"lacks a slash at its end: give data_root={root}/")
    dataset["ann_file"] = root + "annotations/test.json"
    (found,) = [one for one in problems(good) if "val_dataloader.dataset.ann_file" in one]
    assert "lacks a slash" not in found


def test_inside_wrappers(good):
    good["train_dataloader"]["dataset"] = {
        "type": "RepeatDataset", "times": 2, "dataset": {"type": "ConcatDataset", "datasets": [
            {"type": "VOCDataset", "data_root": "/nowhere_of_this_test", "ann_file": "a.txt"}]}
    }  # fmt: skip
    (found,) = problems(good)
    assert found.startswith("train_dataloader.dataset.dataset.datasets.0.data_root: there is no")
    assert "/ has no 'nowhere_of_this_test'" in found


@pytest.mark.parametrize("mode", ["test", "infer"])
def test_data_that_the_mode_does_not_read_may_be_missing(good, mode):
    good["train_dataloader"]["dataset"]["data_root"] = "/nowhere_of_this_test"
    if mode == "infer":
        good["val_dataloader"]["dataset"]["data_root"] = "/nowhere_of_this_test"
    check(good, mode)


def test_a_file_in_the_way_and_a_remote_root(good, tmp_path):
    good["train_dataloader"]["dataset"]["data_root"] = str(tmp_path / "data" / "list.txt" / "x")
    (found,) = problems(good)
    assert "list.txt is a file" in found
    good["train_dataloader"]["dataset"]["data_root"] = "s3://bucket/x"
    check(good, "train")


def test_relative_and_home_paths(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for root in ("data", "data/", os.path.join("~", "data")):
        good["train_dataloader"]["dataset"].update(data_root=root)
        check(good, "train")


def test_the_fix_names_the_variable_that_the_root_comes_from(tmp_path):
    from toolkit.config import Config

    path = tmp_path / "c.py"
    path.write_text(
        "voc_home = '/nowhere_of_this_test'\n"
        "data = dict(type='VOCDataset', data_root=voc_home, ann_file='a.txt')\n"
        "model = dict(type='PreNet', backbone=None)\n"
        "test_dataloader = dict(dataset=data)\n"
        "test_cfg = dict()\ntest_evaluator = dict(type='VOCMetric')\n"
    )
    (found,) = problems(Config.fromfile(str(path)), "test")
    assert "c.py:2 test_dataloader.dataset.data_root: there is no '/nowhere_of_this_test'" in found
    assert found.endswith("Give its place with voc_home=FOLDER")
