from __future__ import annotations

import copy
import json
import pickle

import pytest
import yaml

from toolkit.dataset import BaseDataset, PackedList
from toolkit.utils.errors import DataError

ITEMS = [{"img_path": f"{i}.jpg", "gt_label": i % 3, "boxes": [[i, 0, 1, 1]]} for i in range(10)]
CONTENT = {"metainfo": {"classes": ["a", "b", "c"], "task": "demo"}, "data_list": ITEMS}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "ann.json").write_text(json.dumps(CONTENT))
    (tmp_path / "ann.yaml").write_text(yaml.safe_dump(CONTENT))
    return tmp_path


def dataset_of(root, **kwargs):
    defaults = {"ann_file": "ann.json", "data_root": str(root), "data_prefix": {"img_path": "imgs"}}
    return BaseDataset(**{**defaults, **kwargs})


class Filtered(BaseDataset):
    """Drops labels, and says why."""

    def filter_data(self):
        kept = []
        for info in self.data_list:
            if info["gt_label"] in self.filter_cfg["drop"]:
                self.filter_counts[f"label {info['gt_label']}"] += 1
            else:
                kept.append(info)
        return kept


class TestReading:
    @pytest.mark.parametrize("name", ["ann.json", "ann.yaml"])
    def test_formats(self, root, name):
        dataset = dataset_of(root, ann_file=name)
        assert len(dataset) == 10
        info = dataset.get_data_info(3)
        assert info == {
            "img_path": str(root / "imgs/3.jpg"),
            "gt_label": 0,
            "boxes": [[3, 0, 1, 1]],
            "sample_idx": 3,
        }
        assert dataset.get_data_info(-1)["sample_idx"] == 9

    def test_absolute_and_remote_paths_stay(self, root, tmp_path):
        items = [{"img_path": "/abs/1.jpg"}, {"img_path": "s3://bucket/2.jpg"}]
        (root / "mixed.json").write_text(json.dumps({"metainfo": {}, "data_list": items}))
        dataset = dataset_of(root, ann_file="mixed.json")
        assert [dataset.get_data_info(i)["img_path"] for i in range(2)] == ["/abs/1.jpg", "s3://bucket/2.jpg"]
        remote = dataset_of(root, ann_file=str(root / "ann.json"), data_root="s3://bucket/data/")
        assert remote.get_data_info(0)["img_path"] == "s3://bucket/data/imgs/0.jpg"

    def test_lazy(self, root):
        dataset = dataset_of(root, lazy_init=True)
        assert not dataset._fully_initialized
        assert dataset.get_data_info(0)["gt_label"] == 0
        assert dataset._fully_initialized

    def test_lazy_with_a_missing_file_raises_when_needed(self, root):
        dataset = dataset_of(root, ann_file="none.json", lazy_init=True)
        with pytest.raises(DataError, match=r"none\.json"):
            dataset.full_init()

    def test_parse_to_several(self, root):
        class Doubled(BaseDataset):
            def parse_data_info(self, raw_data_info):
                return [dict(raw_data_info, half=0), dict(raw_data_info, half=1)]

        assert len(Doubled(ann_file=str(root / "ann.json"))) == 20

    def test_missing_files_say_what_is_missing(self, root):
        with pytest.raises(DataError, match=r"nowhere.*data_root"):
            dataset_of(root, data_root=str(root / "nowhere"))
        with pytest.raises(DataError, match="needs ann_file"):
            dataset_of(root, ann_file="")

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("{", "neither JSON nor YAML"),
            ('{"images": []}', "images"),
            ("[1]", "list"),
            ('{"data_list": [{"x": 1}]}', "img_path"),
        ],
    )
    def test_malformed_files(self, root, text, match):
        (root / "bad.json").write_text(text)
        with pytest.raises(DataError, match=match):
            dataset_of(root, ann_file="bad.json")


class TestMetainfo:
    def test_precedence(self, root):
        class Named(BaseDataset):
            METAINFO = {"classes": ("x",), "palette": [(1, 2, 3)]}

        path = str(root / "ann.json")
        assert BaseDataset(ann_file=path).metainfo == {"classes": ["a", "b", "c"], "task": "demo"}
        assert Named(ann_file=path).metainfo == {"classes": ("x",), "palette": [(1, 2, 3)], "task": "demo"}
        given = Named(ann_file=path, metainfo={"classes": ("y",)})
        assert given.metainfo["classes"] == ("y",)
        assert Named.METAINFO["classes"] == ("x",)

    def test_is_a_copy(self, root):
        dataset = dataset_of(root)
        dataset.metainfo["classes"].append("d")
        assert dataset.metainfo["classes"] == ["a", "b", "c"]

    def test_classes_from_a_file(self, root):
        (root / "names.txt").write_text("cat\ndog\n\n")
        dataset = dataset_of(root, metainfo={"classes": str(root / "names.txt")})
        assert dataset.metainfo["classes"] == ["cat", "dog"]
        with pytest.raises(DataError, match=r"names\.tx'"):
            dataset_of(root, metainfo={"classes": str(root / "names.tx")})


class TestFiltering:
    def test_counts(self, root):
        dataset = Filtered(ann_file=str(root / "ann.json"), filter_cfg={"drop": [0, 2]})
        assert len(dataset) == 3
        assert dict(dataset.filter_counts) == {"label 0": 4, "label 2": 3}

    def test_nothing_left_says_why(self, root):
        with pytest.raises(DataError, match=r"all 10 samples.*4 by label 0, 3 by label 1, 3 by label 2"):
            Filtered(ann_file=str(root / "ann.json"), filter_cfg={"drop": [0, 1, 2]})

    def test_unexplained_drops_are_counted(self, root):
        class Silent(BaseDataset):
            def filter_data(self):
                return self.data_list[:1]

        assert dict(Silent(ann_file=str(root / "ann.json")).filter_counts) == {"filter_data": 9}

    def test_an_empty_file(self, root):
        (root / "empty.json").write_text('{"data_list": []}')
        with pytest.raises(DataError, match=r"read no sample from .*empty\.json"):
            dataset_of(root, ann_file="empty.json")


class TestSubsets:
    @pytest.mark.parametrize("serialize", [True, False])
    @pytest.mark.parametrize(
        ("indices", "expected"),
        [(3, [0, 1, 2]), (-2, [8, 9]), ([5, 1, 5], [5, 1, 5]), (100, list(range(10)))],
    )
    def test_indices(self, root, serialize, indices, expected):
        def paths(dataset):
            return [int(dataset.get_data_info(i)["boxes"][0][0]) for i in range(len(dataset))]

        assert paths(dataset_of(root, indices=indices, serialize_data=serialize)) == expected
        whole = dataset_of(root, serialize_data=serialize)
        subset = whole.get_subset(indices)
        assert paths(subset) == expected
        assert len(whole) == 10
        whole.get_subset_(indices)
        assert paths(whole) == expected

    def test_no_sample_at_indices(self, root):
        with pytest.raises(DataError, match="indices=0"):
            dataset_of(root, indices=0)


class TestFetching:
    @pytest.mark.parametrize("serialize", [True, False])
    def test_a_sample_is_a_copy(self, root, serialize):
        dataset = dataset_of(root, serialize_data=serialize, pipeline=[lambda r: r["boxes"].append(1) or r])
        before = copy.deepcopy(dataset.get_data_info(2))
        assert len(dataset[2]["boxes"]) == 2
        assert dataset.get_data_info(2) == before

    def test_a_dropped_sample_is_replaced_in_training_only(self, root):
        def odd_only(results):
            return results if results["sample_idx"] % 2 else None

        assert dataset_of(root, pipeline=[odd_only])[0]["sample_idx"] % 2 == 1
        with pytest.raises(DataError, match="test mode"):
            dataset_of(root, pipeline=[odd_only], test_mode=True)[0]
        with pytest.raises(DataError, match="3 others"):
            dataset_of(root, pipeline=[lambda r: None], max_refetch=3)[0]

    def test_pickles(self, root):
        dataset = pickle.loads(pickle.dumps(dataset_of(root)))
        assert dataset.get_data_info(4)["gt_label"] == 1


class TestPackedList:
    def test_is_a_list_in_one_buffer(self):
        packed = PackedList(ITEMS)
        assert list(packed) == ITEMS
        assert packed[-1] == ITEMS[-1]
        assert packed[2:4] == ITEMS[2:4]
        assert list(packed.select([3, 3, 0])) == [ITEMS[3], ITEMS[3], ITEMS[0]]
        assert packed.nbytes < 2_000
        with pytest.raises(IndexError, match="10"):
            packed[10]

    def test_empty(self):
        assert list(PackedList([])) == []
