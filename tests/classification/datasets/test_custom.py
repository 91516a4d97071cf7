from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from toolkit.classification.datasets import BaseClsDataset, CustomDataset
from toolkit.utils.errors import DataError

SHARED = Path(__file__).parents[4] / "shared" / "data" / "cifar10-mini"


@pytest.fixture
def root(tmp_path):
    files = [
        "train/dog/b.PNG",
        "train/dog/a.png",
        "train/dog/deep/c.png",
        "train/cat/a.png",
        "train/cat/note.txt",
    ]
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", np.zeros((2, 2, 3), np.uint8))[1].tobytes())
    return tmp_path


def found(dataset):
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    return [
        (str(Path(info["img_path"]).relative_to(dataset.data_root)), info.get("gt_label")) for info in infos
    ]


def test_folders(root):
    dataset = CustomDataset(data_root=str(root), data_prefix="train")
    assert dataset.metainfo["classes"] == ("cat", "dog")
    assert dataset.class_to_idx == {"cat": 0, "dog": 1}
    assert found(dataset) == [
        ("train/cat/a.png", 0),
        ("train/dog/a.png", 1),
        ("train/dog/b.PNG", 1),
        ("train/dog/deep/c.png", 1),
    ]
    assert dataset.get_gt_labels().tolist() == [0, 1, 1, 1]
    assert dataset.get_cat_ids(3) == [1]


def test_prefix_may_be_a_dict_or_all(root):
    assert len(CustomDataset(data_root=str(root), data_prefix={"img_path": "train"})) == 4
    assert len(CustomDataset(data_root=str(root / "train"))) == 4
    assert len(CustomDataset(data_prefix=str(root / "train"))) == 4


def test_order_of_the_given_classes(root):
    dataset = CustomDataset(data_root=str(root), data_prefix="train", metainfo={"classes": ["dog", "cat"]})
    assert dataset.get_gt_labels().tolist() == [0, 0, 0, 1]
    assert CustomDataset(data_root=str(root), data_prefix="train", classes=("dog", "cat")).CLASSES == (
        "dog",
        "cat",
    )


def test_some_of_the_folders(root):
    dataset = CustomDataset(data_root=str(root), data_prefix="train", metainfo={"classes": ["dog"]})
    assert found(dataset)[0] == ("train/dog/a.png", 0)
    assert sum(dataset.filter_counts.values()) == 1


def test_display_names(root):
    dataset = CustomDataset(data_root=str(root), data_prefix="train", metainfo={"classes": ["Katze", "Hund"]})
    assert dataset.get_gt_labels().tolist() == [0, 1, 1, 1]


def test_names_that_fit_no_folder(root):
    with pytest.raises(DataError, match=r"1 of the 2 classes.*\n.*'dgo'; did you mean 'dog'\?"):
        CustomDataset(data_root=str(root), data_prefix="train", metainfo={"classes": ["cat", "dgo"]})


def test_without_labels(root):
    dataset = CustomDataset(data_root=str(root), data_prefix="train", with_label=False)
    assert next(name for name, _ in found(dataset)) == "train/cat/a.png"
    assert "gt_label" not in dataset.get_data_info(0)


class TestAnnFile:
    def dataset(self, root, text, **kwargs):
        (root / "list.txt").write_text(text)
        return CustomDataset(data_root=str(root), data_prefix="train", ann_file="list.txt", **kwargs)

    def test_numbers_and_names(self, root):
        dataset = self.dataset(root, "cat/a.png 0\n\ndog/a b.png 1\n", metainfo={"classes": ["cat", "dog"]})
        assert found(dataset) == [("train/cat/a.png", 0), ("train/dog/a b.png", 1)]
        named = self.dataset(root, "cat/a.png\tdog\n", metainfo={"classes": ["cat", "dog"]})
        assert found(named) == [("train/cat/a.png", 1)]
        assert found(self.dataset(root, "cat/a.png\n", with_label=False)) == [("train/cat/a.png", None)]

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("cat/a.png\n", r"list\.txt:1: .*with_label=False"),
            ("a.png 0\nb.png dgo", r"list\.txt:2: label 'dgo'.*did you mean 'dog'"),
            ("a.png 2", r"label 2.*2 classes"),
            ("\n", "read no sample"),
        ],
    )
    def test_mistakes(self, root, text, match):
        with pytest.raises(DataError, match=match):
            self.dataset(root, text, metainfo={"classes": ["cat", "dog"]})


class TestMissing:
    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"data_prefix": "tarin"}, r"'.*tarin' doesn't exist.*data_root"),
            ({"data_prefix": "train/cat"}, "holds no folder"),
            ({"data_prefix": "train/cat/a.png"}, "is a file"),
            ({"data_prefix": "train", "extensions": (".gif",)}, r"no image.*\.gif"),
            ({"ann_file": "none.txt"}, r"none\.txt"),
        ],
    )
    def test_is_said(self, root, kwargs, match):
        with pytest.raises(DataError, match=match):
            CustomDataset(data_root=str(root), **kwargs)

    def test_no_place_at_all(self):
        with pytest.raises(DataError, match="all are empty"):
            CustomDataset()

    def test_an_empty_class_is_warned_of(self, root, caplog):
        (root / "train" / "owl").mkdir()
        dataset = CustomDataset(data_root=str(root), data_prefix="train")
        assert dataset.CLASSES == ("cat", "dog", "owl")
        assert "owl" in caplog.text


def test_annotation_file_of_the_base(tmp_path):
    (tmp_path / "a.json").write_text('{"data_list": [{"img_path": "1.jpg", "gt_label": 1}]}')
    dataset = BaseClsDataset(
        ann_file="a.json", data_root=str(tmp_path), data_prefix="imgs", classes=["a", "b"]
    )
    assert dataset.get_data_info(0)["img_path"] == str(tmp_path / "imgs" / "1.jpg")
    assert dataset.img_prefix == str(tmp_path / "imgs")


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no CIFAR-10 sample at {SHARED}")
def test_cifar10_mini():
    dataset = CustomDataset(
        data_root=str(SHARED), data_prefix="test", pipeline=[{"type": "LoadImageFromFile"}]
    )
    assert len(dataset) == 1000
    assert np.bincount(dataset.get_gt_labels()).tolist() == [100] * 10
    assert dataset[0]["img"].shape == (32, 32, 3)
