"""CocoDataset: reading, mapping, leaving out, and what it says of bad input."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from toolkit.config import Config
from toolkit.dataset import build_dataloader
from toolkit.detection.datasets import CocoDataset
from toolkit.detection.registry import DATASETS
from toolkit.registry import DefaultScope
from toolkit.runner.preflight import PreflightError, check
from toolkit.utils import BuildError, DataError

ROOT = Path(__file__).parents[3]
NUCLEI = ROOT.parent / "shared" / "data" / "nuclei"
FILTER = {"filter_empty_gt": True, "min_size": 32}
TRIANGLE = [[10.0, 10.0, 30.0, 10.0, 10.0, 30.0]]
RUNS = {"size": [60, 40], "counts": [0, 200, 2200]}


def box(number, image, category, xywh, **more):
    area = {"area": xywh[2] * xywh[3]}
    return {"id": number, "image_id": image, "category_id": category, "bbox": xywh, **area, **more}


def image(number, size=(60, 40)):
    return {"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]}


class Zoo:
    """A small data set in COCO's layout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.content = {
            "images": [image(5), image(3, (40, 60)), image(9), image(4, (20, 50)), image(8)],
            "categories": [{"id": 2, "name": "cat"}, {"id": 90, "name": "dog"}, {"id": 7, "name": "newt"}],
            "annotations": [
                box(1, 5, 90, [10, 10, 20, 20], segmentation=TRIANGLE, iscrowd=0),
                box(2, 3, 2, [1.5, 2, 20.5, 30], segmentation=RUNS, iscrowd=1),
                box(3, 5, 2, [0, 0, 60, 40], iscrowd=0),
                box(4, 4, 2, [0, 0, 10, 10]),
                box(5, 8, 7, [0, 0, 9, 9]),
            ],
        }

    def write(self) -> None:
        (self.root / "img").mkdir(parents=True, exist_ok=True)
        for one in self.content["images"]:
            pixels = np.zeros((one.get("height", 9), one.get("width", 9), 3), np.uint8)
            cv2.imwrite(str(self.root / "img" / one.get("file_name", "none.png")), pixels)
        (self.root / "ann.json").write_text(json.dumps(self.content))

    def build(self, classes=("dog", "cat"), **kwargs) -> CocoDataset:
        self.write()
        arguments = {"ann_file": "ann.json", "data_prefix": {"img": "img/"}, "metainfo": {"classes": classes}}
        return CocoDataset(data_root=str(self.root), **{**arguments, **kwargs})


@pytest.fixture
def zoo(tmp_path):
    return Zoo(tmp_path / "zoo")


def test_a_sample_has_its_image_and_labels_in_the_order_of_the_classes(zoo):
    dataset = zoo.build()
    assert [dataset.get_data_info(i)["img_id"] for i in range(len(dataset))] == [5, 3, 9, 4, 8]
    first = dataset.get_data_info(0)
    assert first["img_path"] == str(zoo.root / "img" / "5.png")
    assert (first["height"], first["width"]) == (40, 60)
    assert [one["bbox"] for one in first["instances"]] == [[10, 10, 30, 30], [0, 0, 60, 40]]
    assert dataset.get_cat_ids(0) == [0, 1]
    assert dataset.cat_ids == [90, 2]
    assert dataset.cat2label == {90: 0, 2: 1}
    assert zoo.build(classes=("cat", "newt", "dog")).get_cat_ids(0) == [2, 0]


def test_crowds_are_ignored_and_masks_kept(zoo):
    dataset = zoo.build()
    (crowd,) = dataset.get_data_info(1)["instances"]
    assert crowd["ignore_flag"] == 1
    assert crowd["mask"] == RUNS
    assert crowd["bbox"] == [1.5, 2, 22, 32]
    triangle, whole = dataset.get_data_info(0)["instances"]
    assert triangle["mask"] == TRIANGLE
    assert triangle["area"] == 400
    assert "mask" not in whole
    assert triangle["ignore_flag"] == whole["ignore_flag"] == 0


def test_masks_reach_the_sample(zoo):
    pipeline = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
        {"type": "PackDetInputs"},
    ]
    packed = zoo.build(pipeline=pipeline)[0]["data_samples"]
    # the object without a mask can't train a mask head
    assert packed.gt_instances.bboxes.tolist() == [[10, 10, 30, 30]]
    assert len(packed.ignored_instances.bboxes) == 1
    truth = COCO()
    truth.dataset = {**zoo.content, "info": {}}
    truth.createIndex()
    assert np.array_equal(packed.gt_instances.masks.masks[0], truth.annToMask(truth.anns[1]))


WITH_MASKS = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations", "with_mask": True}]


def test_objects_without_a_mask_are_told_of_where_masks_are_loaded(zoo, caplog):
    zoo.build()
    assert not caplog.records
    dataset = zoo.build(pipeline=WITH_MASKS)
    assert "2 objects without a mask" in caplog.text
    assert "5.png (annotation 3), 4.png (annotation 4)" in caplog.text
    assert dataset.faults.counts.total() == 2
    with pytest.raises(DataError, match="2 objects without a mask"):
        zoo.build(pipeline=WITH_MASKS, on_bad_sample="error")


@pytest.mark.parametrize("value", [None, [[1.0, 2, 3, 4]]])
def test_a_file_without_masks_cannot_train_any(zoo, value):
    for one in zoo.content["annotations"]:
        one["segmentation"] = value
    with pytest.raises(DataError, match=r"None of the 4 objects .* has a mask .* with_mask=False"):
        zoo.build(pipeline=WITH_MASKS)
    assert len(zoo.build(pipeline=WITH_MASKS, test_mode=True)) == 5


def test_filters_count_what_they_drop_and_are_for_training(zoo):
    dataset = zoo.build(filter_cfg=FILTER)
    assert [dataset.get_data_info(i)["img_id"] for i in range(len(dataset))] == [5, 3]
    assert sorted(dataset.filter_counts.values()) == [1, 2]
    assert len(zoo.build(filter_cfg=FILTER, test_mode=True)) == 5
    with pytest.raises(DataError, match="3 by shorter side below 70 pixels"):
        zoo.build(filter_cfg={"filter_empty_gt": True, "min_size": 70})


def test_objects_that_cannot_be_used_are_counted_and_named(zoo, caplog):
    zoo.content["annotations"] += [
        box(11, 5, 2, [5, 5, 0.5, 9]),
        box(12, 5, 2, [5, 5, 9, 0]),
        box(13, 3, 90, [5, 5, 9, 9], area=0),
        box(14, 3, 90, [40, 5, 9, 9]),
        box(15, 3, 90, [-9, 5, 9, 9]),
        box(16, 77, 90, [5, 5, 9, 9]),
        # neither of these is a fault of the file
        box(17, 3, 90, [5, 5, 9, 9], ignore=1),
        box(18, 3, 7, [500, 5, 9, 9]),
    ]
    dataset = zoo.build()
    assert sorted(dataset.faults.counts.values()) == [1, 2, 3]
    (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "finds 6 faults in " in line
    assert "3 objects without area" in line
    assert "5.png (annotation 11), 5.png (annotation 12), 3.png (annotation 13)" in line
    assert "2 objects outside their image: 3.png (annotation 14), 3.png (annotation 15)" in line
    assert "1 objects of an image that isn't listed: image_id 77 (annotation 16)" in line
    assert [len(dataset.get_data_info(i)["instances"]) for i in range(5)] == [2, 1, 0, 1, 0]


@pytest.mark.parametrize("fault", [{"width": float("inf")}, {"height": "tall"}, {"file_name": 7}])
def test_an_image_whose_size_or_name_is_none(zoo, fault):
    zoo.write()
    zoo.content["images"][1].update(fault)
    (zoo.root / "ann.json").write_text(json.dumps(zoo.content))
    zoo.write = lambda: None
    dataset = zoo.build()
    assert [info["img_id"] for info in dataset.data_list] == [5, 9, 4, 8]
    assert dataset.faults.counts == {"images without file_name, or without height and width in pixels": 1}


def test_a_box_that_sticks_out_is_kept_as_it_is(zoo):
    zoo.content["annotations"].append(box(11, 9, 2, [-5, -5, 9, 9]))
    assert zoo.build().get_data_info(2)["instances"][0]["bbox"] == [-5, -5, 4, 4]


def test_fields_that_some_files_lack(zoo):
    del zoo.content["annotations"][0]["area"]
    del zoo.content["annotations"][0]["iscrowd"]
    assert zoo.build().get_data_info(0)["instances"][0]["area"] == 400
    del zoo.content["annotations"]
    assert len(zoo.build(test_mode=True)) == 5


def test_semantic_maps_lie_beside(zoo):
    dataset = zoo.build(data_prefix={"img": "img", "seg": "stuff"}, seg_map_suffix=".tif")
    assert dataset.get_data_info(0)["seg_map_path"] == str(zoo.root / "stuff" / "5.tif")
    assert zoo.build().get_data_info(0)["seg_map_path"] is None


def test_detectors_of_free_text_get_the_names(zoo):
    prompt = {"cat": {"prefix": "a ", "suffix": " on a mat"}}
    info = zoo.build(return_classes=True, caption_prompt=prompt).get_data_info(0)
    assert (info["text"], info["caption_prompt"], info["custom_entities"]) == (("dog", "cat"), prompt, True)
    assert zoo.build(return_classes=True).get_data_info(0)["caption_prompt"] is None
    assert "text" not in zoo.build().get_data_info(0)
    with pytest.raises(DataError, match="return_classes=True"):
        zoo.build(caption_prompt=prompt)


def test_without_metainfo_the_classes_are_cocos():
    classes = CocoDataset.METAINFO["classes"]
    assert len(set(classes)) == len(CocoDataset.METAINFO["palette"]) == 80
    assert (classes[0], classes[16], classes[79]) == ("person", "dog", "toothbrush")


def test_a_class_that_is_not_there_is_named_with_the_nearest_and_what_is(zoo):
    with pytest.raises(DataError, match=r"'newtt'; did you mean 'newt'\? Its categories are: cat, dog, newt"):
        zoo.build(classes=("cat", "newtt"))
    with pytest.raises(DataError, match=r"'person', 'bicycle'.* and 73 more of the 80 classes"):
        zoo.build(metainfo=None)
    joined = zoo.build(classes=("unicorn", "cat"), allow_missing_classes=True)
    assert joined.cat_ids == [None, 2]
    assert joined.get_cat_ids(0) == [1]


def test_a_class_without_any_object_is_warned_of(zoo, caplog):
    zoo.content["annotations"].pop()
    zoo.build(classes=("newt", "cat"))
    assert re.search("no object of 1 of the 2 classes, .*: newt", caplog.text)
    caplog.clear()
    zoo.build(classes=("newt", "cat"), test_mode=True)
    assert not caplog.records


def spoil(section, place, **changes):
    def change(content):
        one = content[section][place]
        for key, value in changes.items():
            if value is None:
                del one[key]
            else:
                one[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (spoil("categories", 1, id=2), r"several categories of one id \(2\)"),
        (spoil("categories", 1, name="cat"), r"2 categories named 'cat' \(ids 2, 90\)"),
        (spoil("images", 1, id=None), r"images\[1\] has no 'id'"),
        (spoil("images", 1, id=[1]), "neither a number nor a text"),
        (spoil("categories", 1, name=None), r"categories\[1\] has no 'name'"),
        (spoil("annotations", 2, bbox=None), r"annotations\[2\] \(id 3\) has no 'bbox'"),
        (
            spoil("annotations", 2, image_id=[5]),
            r"'image_id' of annotations\[2\] \(id 3\) is neither a number",
        ),
        (lambda content: content.update(annotations=3), "isn't in COCO's format"),
        (lambda content: content["annotations"].append(3), r"annotations\[5\] is a int"),
        (lambda content: content.pop("categories"), "isn't in COCO's format: .* holds annotations, images"),
    ],
)
def test_a_broken_file_is_explained(zoo, change, words):
    change(zoo.content)
    with pytest.raises(DataError, match=words):
        zoo.build()


def segmentation(place, value):
    return spoil("annotations", place, segmentation=value)


def resize_file(zoo):
    cv2.imwrite(str(zoo.root / "img" / "3.png"), np.zeros((30, 30, 3), np.uint8))


# what is done to the data, what is said of it, images left, and objects of images 5 and 3 left
BAD_INPUT = [
    (spoil("images", 1, id=5), "2 images whose id another one has, too: 5.png (id 5), 3.png (id 5)", 3, None),
    (spoil("images", 1, width=None), "1 images without file_name, or without height and width", 4, None),
    (spoil("images", 1, file_name=None), "1 images without file_name", 4, None),
    (spoil("annotations", 1, id=1), "1 objects whose id another one has, too, which are kept", 5, [2, 1]),
    (
        lambda content: content["annotations"].append(dict(content["annotations"][0])),
        "1 objects that are listed twice: 5.png (annotation 1)",
        5,
        [2, 1],
    ),
    (spoil("annotations", 2, bbox=[1, 2, 3]), "or whose area isn't one: 5.png (annotation 3)", 5, [1, 1]),
    (spoil("annotations", 2, bbox=[1, 2, 3, float("nan")]), "isn't four finite numbers", 5, [1, 1]),
    (spoil("annotations", 2, area="large"), "or whose area isn't one: 5.png (annotation 3)", 5, [1, 1]),
    (spoil("annotations", 2, bbox=[3, 3, 0, 9]), "1 objects without area", 5, [1, 1]),
    (spoil("annotations", 2, bbox=[60, 3, 9, 9]), "1 objects outside their image", 5, [1, 1]),
    (spoil("annotations", 2, category_id=3), "1 objects of a category that isn't listed", 5, [1, 1]),
    (spoil("annotations", 2, image_id=6), "1 objects of an image that isn't listed", 5, [1, 1]),
    (segmentation(0, [[10, 10, 30, 10]]), "polygons of fewer than three points", 5, [2, 1]),
    (segmentation(0, [[10, 10, 30, 10, 5]]), "polygons of fewer than three points", 5, [2, 1]),
    (segmentation(0, [[0, 0, 9, 0, 9, float("inf")]]), "polygons of fewer than three", 5, [2, 1]),
    (segmentation(0, ["abcdef"]), "polygons of fewer than three points", 5, [2, 1]),
    (segmentation(0, {"size": [40, 61], "counts": [2440]}), "run lengths of another size", 5, [2, 1]),
    (segmentation(0, {"size": [40, 60], "counts": [2399]}), "run lengths of another size", 5, [2, 1]),
    (segmentation(0, {"size": [40, 60], "counts": [2500, -100]}), "run lengths of another size", 5, [2, 1]),
    (segmentation(0, {"size": [40, 60], "counts": "P"}), "neither polygons nor run lengths", 5, [2, 1]),
    (segmentation(0, {"counts": "q"}), "neither polygons nor run lengths", 5, [2, 1]),
    (segmentation(0, {"size": ["40", 60], "counts": [2400]}), "neither polygons nor run", 5, [2, 1]),
    (segmentation(0, {"size": [40, 60], "counts": [1e30]}), "neither polygons nor run lengths", 5, [2, 1]),
    (segmentation(0, 7), "neither polygons nor run lengths", 5, [2, 1]),
    (resize_file, "(30x30, annotated 40x60)", 4, None),
]


@pytest.mark.parametrize(("change", "words", "images", "objects"), BAD_INPUT)
def test_bad_input_is_skipped_or_refused_as_the_policy_says(zoo, caplog, change, words, images, objects):
    if change is resize_file:
        zoo.write()
        zoo.write = lambda: (Zoo.write(zoo), resize_file(zoo))
    else:
        change(zoo.content)
    dataset = zoo.build()
    assert words in caplog.text
    assert dataset.faults.counts.total() == len(re.findall(r"\((?:id|annotation|\d+x)", caplog.text))
    assert len(dataset) == images
    if objects is not None:
        assert [len(dataset.get_data_info(i)["instances"]) for i in range(2)] == objects
        has_mask = "mask" in dataset.get_data_info(0)["instances"][0]
        assert has_mask == ("polygons" not in words and "run lengths" not in words)
    with pytest.raises(DataError, match=r"on_bad_sample='error'") as caught:
        zoo.build(on_bad_sample="error")
    assert words in str(caught.value)


def test_a_sound_polygon_stays_where_another_one_is_bad(zoo):
    zoo.content["annotations"][0]["segmentation"] = [[1, 1, 2, 2], *TRIANGLE]
    dataset = zoo.build()
    assert dataset.get_data_info(0)["instances"][0]["mask"] == TRIANGLE
    assert dataset.faults.counts.total() == 1


def test_a_sound_file_has_no_fault(zoo, caplog):
    assert len(zoo.build(on_bad_sample="error")) == 5
    assert not caplog.records
    with pytest.raises(BuildError, match="'eror' is unknown; did you mean 'error'"):
        zoo.build(on_bad_sample="eror")


def test_a_long_report_goes_to_the_log_file(zoo, caplog):
    zoo.content["annotations"] += [box(100 + n, 5, 2, [5, 5, 0, 9]) for n in range(9)]
    with caplog.at_level("INFO", logger="toolkit"):
        zoo.build()
    (short, long) = [record for record in caplog.records if "annotation 100" in record.message]
    assert "annotation 104), …" in short.message
    assert "annotation 108" not in short.message
    assert long.file_only
    assert long.message.count("\n") == 9


@pytest.mark.parametrize("policy", ["skip", "error"])
def test_in_a_large_set_an_image_of_another_size_is_found_when_it_is_loaded(zoo, caplog, monkeypatch, policy):
    monkeypatch.setattr("toolkit.detection.datasets.base.SIZES_UP_TO", 0)
    zoo.write()
    zoo.write = lambda: (Zoo.write(zoo), resize_file(zoo))
    pipeline = [{"type": "LoadImageFromFile"}]
    dataset = zoo.build(pipeline=pipeline, on_bad_sample=policy)
    assert len(dataset) == 5
    assert dataset[0]["img_id"] == 5
    if policy == "error":
        with pytest.raises(DataError, match=r"3.png' is 30x30, but annotated as 40x60"):
            dataset[1]
    else:
        assert dataset[1]["img_id"] != 3
        assert "30x30, but annotated as 40x60" in caplog.text
        with pytest.raises(DataError, match="30x30"):
            zoo.build(pipeline=pipeline, test_mode=True)[1]


def test_an_image_that_is_turned_by_its_exif_data_has_the_size_that_opencv_reads(zoo, tmp_path):
    from PIL import Image

    zoo.content["images"][1]["file_name"] = "3.jpg"
    zoo.write()
    turned = Image.new("RGB", (60, 40))
    exif = turned.getexif()
    exif[0x0112] = 6

    def write():
        Zoo.write(zoo)
        turned.save(zoo.root / "img" / "3.jpg", exif=exif)

    zoo.write = write
    assert len(zoo.build(on_bad_sample="error")) == 5
    as_stored = [{"type": "LoadImageFromFile", "color_type": "color_ignore_orientation"}]
    with pytest.raises(DataError, match="60x40, annotated 40x60"):
        zoo.build(on_bad_sample="error", pipeline=as_stored)


def test_objects_may_be_numbered_anew_in_each_image_where_a_subclass_says_so(zoo):
    class Renumbered(CocoDataset):
        ANN_ID_UNIQUE = False

    zoo.content["annotations"][1]["id"] = 1
    zoo.write()
    arguments = {"ann_file": "ann.json", "data_prefix": {"img": "img"}, "metainfo": {"classes": ("cat",)}}
    assert len(Renumbered(data_root=str(zoo.root), **arguments)) == 5


def test_other_files_than_json(zoo):
    zoo.write()
    with pytest.raises(DataError, match=r"'an.json'; did you mean 'ann.json'"):
        zoo.build(ann_file="an.json")
    for text, words in (("{", "no valid JSON"), ("[]", "no object at its top")):
        (zoo.root / "bad.json").write_text(text)
        with pytest.raises(DataError, match=words):
            zoo.build(ann_file="bad.json")
    with pytest.raises(DataError, match="did you mean 'min_size'"):
        zoo.build(filter_cfg={"minsize": 3})


@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the nuclei data set is not beside the repository")
def test_real_files_are_those_that_pycocotools_reads():
    path = NUCLEI / "annotations" / "instances_train.json"
    dataset = DATASETS.build(
        {
            "type": "mmdet.CocoDataset",
            "data_root": str(NUCLEI),
            "ann_file": "annotations/instances_train.json",
            "data_prefix": {"img": "train/"},
            "metainfo": {"classes": ("nucleus",)},
            "filter_cfg": FILTER,
        }
    )
    truth = COCO(str(path))
    assert len(dataset) == len(truth.imgs) == 160
    for place in range(0, 160, 20):
        info = dataset.get_data_info(place)
        objects = truth.loadAnns(truth.getAnnIds(imgIds=[info["img_id"]]))
        assert [one["area"] for one in info["instances"]] == [one["area"] for one in objects]
        corners = np.asarray([one["bbox"] for one in info["instances"]])
        corners[:, 2:] -= corners[:, :2]
        assert np.allclose(corners, [one["bbox"] for one in objects])


@pytest.mark.parametrize("name", ["coco_detection", "coco_instance"])
@pytest.mark.skipif(not NUCLEI.is_dir(), reason="the nuclei data set is not beside the repository")
def test_the_base_configs_load_batches(name):
    cfg = Config.fromfile(ROOT / "configs" / "_base_" / "datasets" / f"{name}.py")
    for split, folder in (("train", "train"), ("val", "val")):
        part = cfg[f"{split}_dataloader"]
        part.num_workers, part.persistent_workers, part.batch_size = 0, False, 2
        part.dataset.data_root, part.dataset.data_prefix = str(NUCLEI), {"img": folder}
        part.dataset.ann_file = f"annotations/instances_{folder}.json"
        part.dataset.metainfo = {"classes": ("nucleus",)}
        with DefaultScope.overwrite_default_scope("detection"):
            loader = build_dataloader(part.to_dict(), seed=3, default_scope="detection")
            batch = next(iter(loader))
        for sample in batch["data_samples"]:
            assert len(sample.gt_instances.bboxes) > 0
            assert ("masks" in sample.gt_instances) == (name == "coco_instance")
            if split == "val":
                assert sample.gt_instances.bboxes.max() <= max(sample.ori_shape)
        assert batch["inputs"][0].dtype == torch.uint8


@pytest.mark.parametrize("depth", ["18", "50", "101"])
def test_nothing_but_the_data_is_missing_from_the_coco_configs(depth):
    cfg = Config.fromfile(
        ROOT / "configs" / "faster_rcnn" / f"faster-rcnn_r{depth}_fpn_1x_coco.py",
        overrides={"data_root": "nowhere/"},
    )
    with pytest.raises(PreflightError) as caught:
        check(cfg, "train")
    lines = str(caught.value).splitlines()[1:]
    assert {line.split(": ")[0].rpartition(" ")[2] for line in lines} == {
        "val_evaluator.ann_file",
        "train_dataloader.dataset.data_root",
    }


def test_a_file_of_proposals_is_added_by_folder_and_name(zoo):
    proposals = {
        f"img/{n}.png": {"bboxes": np.full((2, 4), n), "scores": np.ones(2)} for n in (3, 4, 5, 8, 9)
    }
    zoo.write()
    (zoo.root / "proposals.pkl").write_bytes(pickle.dumps(proposals))
    dataset = zoo.build(proposal_file="proposals.pkl")
    assert dataset.get_data_info(1)["proposals"]["bboxes"].tolist() == [[3] * 4] * 2
    del proposals["img/9.png"]
    (zoo.root / "proposals.pkl").write_bytes(pickle.dumps(proposals))
    with pytest.raises(DataError, match=r"none for 1 of the 5 images: .*9.png"):
        zoo.build(proposal_file="proposals.pkl")
    with pytest.raises(DataError, match=r"'proposal.pkl'; did you mean 'proposals.pkl'"):
        zoo.build(proposal_file="proposal.pkl")
