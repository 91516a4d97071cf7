"""LVIS, Objects365, Cityscapes, V3Det, WIDER FACE, CrowdHuman and Open Images: what each does its own way."""

from __future__ import annotations

import json
import pickle

import cv2
import numpy as np
import pytest

from toolkit.detection.registry import DATASETS
from toolkit.utils import BuildError, DataError


def build(kind, root, **kwargs):
    return DATASETS.build({"type": f"mmdet.{kind}", "data_root": str(root), **kwargs})


def picture(path, width=60, height=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))


def coco_file(path, names, images, boxes):
    """`boxes` are (image id, category id, iscrowd)."""
    content = {
        "images": [{"id": n, "width": 60, "height": 40, **image} for n, image in enumerate(images, 1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(names, 1)],
        "annotations": [
            {"id": n, "image_id": i, "category_id": c, "bbox": [1, 2, 10, 20], "area": 200, "iscrowd": crowd}
            for n, (i, c, crowd) in enumerate(boxes, 1)
        ],
    }
    path.write_text(json.dumps(content))
    return path.name


@pytest.mark.parametrize(
    ("kind", "image", "name"),
    [
        ("LVISV05Dataset", {"file_name": "COCO_train2014_000000000123.jpg"}, "000000000123.jpg"),
        ("LVISDataset", {"file_name": "000000000123.jpg"}, "000000000123.jpg"),
        (
            "LVISV1Dataset",
            {"coco_url": "http://images.cocodataset.org/train2017/000000000123.jpg"},
            "train2017/000000000123.jpg",
        ),
        ("Objects365V2Dataset", {"file_name": "images/v1/patch8/a.jpg"}, "patch8/a.jpg"),
        ("Objects365V1Dataset", {"file_name": "a.jpg"}, "a.jpg"),
        ("DeepFashionDataset", {"file_name": "a.jpg"}, "a.jpg"),
    ],
)
def test_where_the_images_are(tmp_path, kind, image, name):
    names = DATASETS.get(f"mmdet.{kind}").METAINFO["classes"]
    file = coco_file(tmp_path / "a.json", names, [image], [(1, len(names), 0)])
    dataset = build(kind, tmp_path, ann_file=file, data_prefix={"img": "img/"})
    info = dataset.get_data_info(0)
    assert info["img_path"] == str(tmp_path / "img" / name)
    assert dataset.get_cat_ids(0) == [len(names) - 1]


def test_images_of_objects365_that_the_archives_lack_are_left_out(tmp_path):
    images = [{"file_name": "images/v2/patch16/objects365_v2_00908726.jpg"}, {"file_name": "v/patch1/b.jpg"}]
    names = DATASETS.get("mmdet.Objects365V2Dataset").METAINFO["classes"]
    file = coco_file(tmp_path / "a.json", names, images, [(1, 1, 0), (2, 2, 0)])
    dataset = build("Objects365V2Dataset", tmp_path, ann_file=file, test_mode=True)
    assert [info["img_id"] for info in dataset.data_list] == [2]


def test_lvis_goes_by_the_order_where_names_are_spelt_otherwise(tmp_path):
    names = [*DATASETS.get("mmdet.LVISV1Dataset").METAINFO["classes"]]
    names[4] += "_(spelt_otherwise)"
    file = coco_file(tmp_path / "a.json", names, [{"coco_url": "a/b.jpg"}], [(1, 5, 0)])
    assert build("LVISV1Dataset", tmp_path, ann_file=file).get_cat_ids(0) == [4]
    chosen = build("LVISV1Dataset", tmp_path, ann_file=file, metainfo={"classes": (names[9], names[4])})
    assert chosen.get_cat_ids(0) == [1]
    with pytest.raises(DataError, match="no category named 'unicorn'"):
        build("LVISV1Dataset", tmp_path, ann_file=file, metainfo={"classes": ("unicorn",)})


def test_cityscapes_drops_images_of_crowds_alone(tmp_path):
    names = DATASETS.get("mmdet.CityscapesDataset").METAINFO["classes"]
    images = [{"file_name": f"{n}.png"} for n in range(3)]
    file = coco_file(tmp_path / "a.json", names, images, [(1, 1, 1), (2, 1, 1), (2, 3, 0)])
    arguments = {"ann_file": file, "filter_cfg": {"filter_empty_gt": True}}
    dataset = build("CityscapesDataset", tmp_path, **arguments)
    assert [info["img_id"] for info in dataset.data_list] == [2]
    assert dataset.filter_counts["nothing but crowds (filter_empty_gt)"] == 1
    assert len(build("CityscapesDataset", tmp_path, **arguments, test_mode=True)) == 3


def test_v3det_reads_its_names_from_a_file(tmp_path):
    file = coco_file(tmp_path / "a.json", ["ox", "elk"], [{"file_name": "a.jpg"}], [(1, 2, 0)])
    (tmp_path / "names.txt").write_text("elk\nox\n")
    dataset = build("V3DetDataset", tmp_path, ann_file=file, label_file="names.txt")
    assert dataset.metainfo["classes"] == ("elk", "ox")
    assert dataset.get_cat_ids(0) == [0]
    with pytest.raises(DataError, match=r"file of class names .* doesn't exist"):
        build("V3DetDataset", tmp_path, ann_file=file)


WIDER = """<annotation><folder>0--Parade</folder><size><width>60</width><height>40</height></size>
<object><name>face</name><bndbox><xmin>0</xmin><ymin>3</ymin><xmax>9</xmax><ymax>20</ymax></bndbox></object>
</annotation>"""


def test_wider_face_counts_from_0_and_has_a_folder_an_event(tmp_path):
    (tmp_path / "WIDER_train" / "Annotations").mkdir(parents=True)
    (tmp_path / "WIDER_train" / "Annotations" / "a.xml").write_text(WIDER)
    (tmp_path / "train.txt").write_text("a\n")
    arguments = {"ann_file": "train.txt", "data_prefix": {"img": "WIDER_train"}}
    (info,) = build("WIDERFaceDataset", tmp_path, **arguments).data_list
    assert info["img_path"] == str(tmp_path / "WIDER_train" / "0--Parade" / "a.jpg")
    assert info["instances"] == [{"bbox": [0, 3, 9, 20], "bbox_label": 0, "ignore_flag": 0}]
    (tmp_path / "WIDER_train" / "Annotations" / "a.xml").write_text(WIDER.replace("folder", "f"))
    with pytest.raises(DataError, match="names no <folder>"):
        build("WIDERFaceDataset", tmp_path, **arguments)


def test_crowdhuman_has_three_boxes_a_person(tmp_path):
    person = {"tag": "person", "fbox": [1, 2, 10, 30], "hbox": [3, 2, 4, 5], "vbox": [1, 2, 9, 20]}
    boxes = [person, {**person, "extra": {"ignore": 1}}, {**person, "tag": "mask"}]
    (tmp_path / "a.odgt").write_text(json.dumps({"ID": "x,1", "gtboxes": boxes}) + "\n")
    arguments = {"ann_file": "a.odgt", "data_prefix": {"img": "Images"}}
    picture(tmp_path / "Images" / "x,1.jpg")
    info = build("CrowdHumanDataset", tmp_path, **arguments).get_data_info(0)
    assert (info["height"], info["width"]) == (40, 60)
    assert [one["bbox_label"] for one in info["instances"]] == [0, -1, -1]
    assert [one["ignore_flag"] for one in info["instances"]] == [0, 1, 1]
    first = info["instances"][0]
    assert first["bbox"] == first["fbox"] == [1, 2, 11, 32]
    assert (first["hbox"], first["vbox"]) == ([3, 2, 7, 7], [1, 2, 10, 22])
    (tmp_path / "Images" / "x,1.jpg").unlink()
    with pytest.raises(DataError, match=r"x,1.jpg' .* doesn't exist or can't be read"):
        build("CrowdHumanDataset", tmp_path, **arguments)
    sizes = tmp_path / "id_hw.json"
    sizes.write_text(json.dumps({"x,1": [400, 600]}))
    known = build("CrowdHumanDataset", tmp_path, **arguments, extra_ann_file=str(sizes)).get_data_info(0)
    assert (known["height"], known["width"]) == (400, 600)
    (tmp_path / "a.odgt").write_text('{"ID": "x,1"}\n')
    with pytest.raises(DataError, match="line 1: an image is JSON with ID and gtboxes"):
        build("CrowdHumanDataset", tmp_path, **arguments, extra_ann_file=str(sizes))


@pytest.fixture
def open_images(tmp_path):
    (tmp_path / "names.csv").write_text("/m/a,Animal\n/m/b,Cat\n/m/c,Car\n")
    cat = {"LabelName": "/m/b"}
    root = {
        "LabelName": "/m/0",
        "Subcategory": [{"LabelName": "/m/a", "Subcategory": [cat]}, {"LabelName": "/m/c"}],
    }
    (tmp_path / "tree.json").write_text(json.dumps(root))
    rows = [
        "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,O,T,G,D,I",
        "p,x,/m/b,1,0.1,0.5,0.25,0.75,0,0,1,0,0",
        "p,x,/m/c,1,0,1,0,1,1,0,0,0,0",
        "q,x,/m/a,1,0,1,0,0.5,0,0,0,0,1",
    ]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    (tmp_path / "asked.csv").write_text("ImageID,Source,LabelName,Confidence\np,x,/m/a,0\np,x,/m/b,1\n")
    metas = [{"filename": f"img/{name}.jpg", "ori_shape": (40, 60, 3)} for name in "pq"]
    (tmp_path / "metas.pkl").write_bytes(pickle.dumps(metas))
    return tmp_path


FILES = {"label_file": "names.csv", "hierarchy_file": "tree.json", "data_prefix": {"img": "img"}}


def test_open_images_files_are_read(open_images):
    dataset = build(
        "OpenImagesDataset", open_images, ann_file="boxes.csv", meta_file="metas.pkl",
        image_level_ann_file="asked.csv", **FILES,
    )  # fmt: skip
    assert dataset.metainfo["classes"] == ("Animal", "Cat", "Car")
    assert dataset.metainfo["RELATION_MATRIX"].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    first, second = dataset.get_data_info(0), dataset.get_data_info(1)
    assert (first["img_id"], first["height"], first["width"]) == ("p", 40, 60)
    assert first["img_path"] == str(open_images / "img" / "p.jpg")
    cat, car = first["instances"]
    assert cat["bbox"] == pytest.approx([6, 10, 30, 30])
    assert (cat["bbox_label"], cat["is_group_of"], car["is_occluded"]) == (1, True, True)
    assert first["image_level_labels"].tolist() == [0, 1]
    assert first["confidences"].tolist() == [0, 1]
    assert second["image_level_labels"].tolist() == []
    assert second["instances"][0]["is_inside"]


def test_open_images_sizes_come_from_the_images_where_no_file_has_them(open_images):
    for name in "pq":
        picture(open_images / "img" / f"{name}.jpg", 120, 80)
    dataset = build("OpenImagesDataset", open_images, ann_file="boxes.csv", meta_file=None, **FILES)
    assert dataset.get_data_info(1)["instances"][0]["bbox"] == [0, 0, 120, 40]


def test_open_images_files_that_do_not_fit(open_images):
    metas = [{"filename": "q.jpg", "ori_shape": (40, 60)}]
    (open_images / "metas.pkl").write_bytes(pickle.dumps(metas))
    with pytest.raises(DataError, match=r"'metas.pkl' has 'q.jpg' where .*p.jpg"):
        build("OpenImagesDataset", open_images, ann_file="boxes.csv", meta_file="metas.pkl", **FILES)
    (open_images / "names.csv").write_text("/m/a,Animal\n/m/c,Car\n")
    with pytest.raises(DataError, match=r"names a class '/m/b' that 'names.csv' hasn't"):
        build("OpenImagesDataset", open_images, ann_file="boxes.csv", meta_file="metas.pkl", **FILES)


def test_the_challenge_has_files_of_its_own(open_images):
    (open_images / "names.csv").write_text("/m/b,Cat,2\n/m/a,Animal,1\n")
    tree = np.zeros((3, 3))
    tree[1:, 1:] = [[1, 0], [1, 1]]
    np.save(open_images / "tree.npy", tree)
    (open_images / "boxes.txt").write_text("val/p.jpg\n0\n2\n2 0 0 0.5 0.5 1\n1 0.5 0 1 1 0\nq.jpg\n0\n0\n")
    (open_images / "asked.csv").write_text("ImageID,LabelName,Confidence\nq,/m/b,1\n")
    dataset = build(
        "OpenImagesChallengeDataset", open_images, ann_file="boxes.txt", meta_file="metas.pkl",
        image_level_ann_file="asked.csv", **{**FILES, "hierarchy_file": "tree.npy"},
    )  # fmt: skip
    assert dataset.metainfo["classes"] == ("Animal", "Cat")
    assert dataset.metainfo["RELATION_MATRIX"].tolist() == [[1, 0], [1, 1]]
    info = dataset.get_data_info(0)
    assert info["img_path"] == str(open_images / "img" / "val" / "p.jpg")
    assert [one["bbox"] for one in info["instances"]] == [[0, 0, 30, 20], [30, 0, 60, 40]]
    assert dataset.get_cat_ids(0) == [1, 0]
    assert dataset.get_data_info(1)["image_level_labels"].tolist() == [1]
    with pytest.raises(BuildError, match=r"it is a .txt file"):
        build("OpenImagesChallengeDataset", open_images, ann_file="boxes.csv", meta_file=None, **FILES)
