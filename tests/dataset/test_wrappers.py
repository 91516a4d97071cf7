from __future__ import annotations

import json

import pytest

from toolkit.dataset import BaseDataset, ClassBalancedDataset, ConcatDataset, RepeatDataset
from toolkit.utils.errors import DataError


class Labelled(BaseDataset):
    """Has classes to count."""

    def get_cat_ids(self, idx):
        return self.get_data_info(idx)["labels"]


@pytest.fixture
def make(tmp_path):
    def build(labels, classes=("a", "b"), **kwargs):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
        items = [{"img_path": str(i), "labels": one} for i, one in enumerate(labels)]
        path.write_text(json.dumps({"metainfo": {"classes": classes}, "data_list": items}))
        return Labelled(ann_file=str(path), **kwargs)

    return build


def names(dataset):
    return [dataset[i]["img_path"] for i in range(len(dataset))]


def test_repeat(make):
    dataset = RepeatDataset(make([[0], [1], [1]]), 3)
    assert names(dataset) == ["0", "1", "2"] * 3
    assert dataset.metainfo == {"classes": ["a", "b"]}
    assert dataset.get_cat_ids(4) == [1]
    assert dataset[-1]["img_path"] == "2"
    with pytest.raises(IndexError):
        dataset[9]


def test_repeat_from_config(make, tmp_path):
    make([[0], [1]])
    cfg = {"type": "BaseDataset", "ann_file": str(tmp_path / "0.json")}
    assert len(RepeatDataset(cfg, times=4)) == 8


def test_class_balanced(make):
    """Class 1 is in a tenth of the samples: t = 0.4 repeats its sample by ceil(sqrt(0.4 / 0.1)) = 2."""
    dataset = ClassBalancedDataset(make([[0]] * 9 + [[0, 1]]), oversample_thr=0.4)
    assert names(dataset) == [*map(str, range(9)), "9", "9"]
    assert dataset.get_data_info(10)["labels"] == [0, 1]
    assert len(ClassBalancedDataset(make([[0]] * 9 + [[1]]), oversample_thr=0.01)) == 10
    assert len(ClassBalancedDataset(make([[0], []]), oversample_thr=0.5)) == 2


def test_concat(make):
    dataset = ConcatDataset([make([[0], [1]]), make([[0]]), make([[1]] * 3)])
    assert names(dataset) == ["0", "1", "0", "0", "1", "2"]
    assert dataset.cumulative_sizes == [2, 3, 6]
    assert dataset[-1]["img_path"] == "2"
    assert dataset.get_cat_ids(1) == [1]
    assert dataset.get_data_info(2)["img_path"] == "0"
    assert [dataset.get_dataset_source(place) for place in range(6)] == [0, 0, 1, 2, 2, 2]
    with pytest.raises(IndexError):
        dataset[6]


def test_concat_of_different_classes_is_refused(make):
    one, other = make([[0]]), make([[0]], classes=("a", "c"))
    with pytest.raises(DataError, match=r"classes.*dataset 1.*ignore_keys"):
        ConcatDataset([one, other])
    assert len(ConcatDataset([one, other], ignore_keys="classes")) == 2
    assert len(ConcatDataset([one, other], ignore_keys=True)) == 2
    with pytest.raises(DataError, match="empty"):
        ConcatDataset([])


def test_lazy(make, tmp_path):
    inner = make([[0], [1]], lazy_init=True)
    for wrapped in (
        RepeatDataset(inner, 2, lazy_init=True),
        ConcatDataset([inner], lazy_init=True),
        ClassBalancedDataset(inner, 0.1, lazy_init=True),
    ):
        assert not wrapped._fully_initialized
    assert not inner._fully_initialized
    assert len(RepeatDataset(inner, 2)) == 4
    assert inner._fully_initialized


def test_wrong_argument():
    with pytest.raises(TypeError, match="int"):
        RepeatDataset(3, 2)


@pytest.mark.parametrize("method", ["get_subset", "get_subset_"])
def test_wrappers_have_no_subsets(make, method):
    inner = make([[0], [1]])
    for wrapper in (ConcatDataset([inner]), RepeatDataset(inner, 2), ClassBalancedDataset(inner, 0.1)):
        with pytest.raises(NotImplementedError, match="take one of each inner dataset"):
            getattr(wrapper, method)(1)


def test_the_misspelt_name_of_the_sizes(make):
    joined = ConcatDataset([make([[0], [1]]), make([[0], [1], [1]])])
    with pytest.warns(FutureWarning, match="cumulative_sizes"):
        assert joined.cummulative_sizes == [2, 5]
