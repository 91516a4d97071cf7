"""Loading of images and annotations, and FilterAnnotations."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.transforms import (
    FilterAnnotations,
    InferencerLoader,
    LoadAnnotations,
    LoadEmptyAnnotations,
    LoadImageFromNDArray,
    LoadMultiChannelImageFromFiles,
    LoadPanopticAnnotations,
    LoadProposals,
)
from toolkit.structures import InstanceData
from toolkit.utils import DataError

SQUARE = [2.0, 3.0, 10.0, 3.0, 10.0, 8.0, 2.0, 8.0]


def with_masks(*masks):
    instances = [{"bbox": [0, 0, 5, 5], "bbox_label": 0, "ignore_flag": 0, "mask": mask} for mask in masks]
    return {"instances": instances, "height": 12, "width": 16, "ori_shape": (12, 16)}


def test_arrays_of_boxes_labels_and_flags():
    instances = [
        {"bbox": [1, 2, 30, 40], "bbox_label": 2, "ignore_flag": 0},
        {"bbox": [5.5, 2, 3, 4], "bbox_label": 0, "ignore_flag": 1},
    ]
    results = LoadAnnotations()({"instances": instances})
    assert results["gt_bboxes"].tolist() == [[1, 2, 30, 40], [5.5, 2, 3, 4]]
    assert results["gt_bboxes"].dtype == np.float32
    assert results["gt_bboxes_labels"].dtype == np.int64
    assert results["gt_ignore_flags"].tolist() == [False, True]


def test_an_image_without_objects_has_empty_arrays_of_the_right_shape():
    results = LoadAnnotations(with_mask=True)({"instances": [], "ori_shape": (4, 5)})
    assert results["gt_bboxes"].shape == (0, 4)
    assert results["gt_bboxes_labels"].shape == (0,)
    assert results["gt_masks"].masks.shape == (0, 4, 5)


@pytest.mark.parametrize(
    "polygons", [[SQUARE], [SQUARE, [12, 1, 15, 1, 14, 5]], [[1.3, 2.7, 9.2, 4.1, 3.3, 10.9]]]
)
def test_polygons_are_filled_as_coco_fills_them(polygons):
    results = LoadAnnotations(with_mask=True)(with_masks(polygons))
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, 12, 16)))
    assert np.array_equal(results["gt_masks"].masks[0], expected)


def test_run_lengths_listed_or_packed_and_bitmaps():
    bitmap = np.zeros((12, 16), np.uint8)
    bitmap[3:7, 4:9] = 1
    packed = coco_mask.encode(np.asfortranarray(bitmap))
    text = {"size": packed["size"], "counts": packed["counts"].decode()}
    column = bitmap.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], column, [0]])))
    counts = np.diff(np.concatenate([[0], edges, [len(column)]])).tolist()
    listed = {"size": [12, 16], "counts": counts}
    results = LoadAnnotations(with_mask=True)(with_masks(dict(packed), text, listed, bitmap))
    for mask in results["gt_masks"]:
        assert np.array_equal(mask, bitmap)


def test_an_unusable_mask_makes_its_object_ignored():
    results = LoadAnnotations(with_mask=True)(with_masks([[1, 2, 3]], {"size": [1, 1]}, [SQUARE]))
    assert results["gt_ignore_flags"].tolist() == [True, True, False]
    assert results["gt_masks"].areas.tolist()[:2] == [0, 0]


def test_a_semantic_map(tmp_path):
    path = str(tmp_path / "map.png")
    cv2.imwrite(path, np.asarray([[0, 1], [2, 255]], np.uint8))
    load = LoadAnnotations(with_bbox=False, with_label=False, with_seg=True)
    assert load({"seg_map_path": path})["gt_seg_map"].tolist() == [[0, 1], [2, 255]]
    shifted = LoadAnnotations(with_bbox=False, with_label=False, with_seg=True, reduce_zero_label=True)
    assert shifted({"seg_map_path": path})["gt_seg_map"].tolist() == [[255, 0], [1, 255]]
    with pytest.raises(DataError, match="nowhere"):
        load({"seg_map_path": str(tmp_path / "nowhere.png")})


@pytest.mark.parametrize(
    "kwargs",
    [{"box_type": "qbox"}, {"imdecode_backend": "tifffile"}],
)
def test_what_is_not_supported_is_refused(kwargs):
    with pytest.raises(ValueError, match="LoadAnnotations"):
        LoadAnnotations(**kwargs)


def filterable():
    masks = np.zeros((3, 20, 20), np.uint8)
    masks[0, :4, :4] = 1
    masks[2, 5, 5] = 1
    return {
        "gt_bboxes": np.asarray([[0, 0, 4, 4], [0, 0, 1, 9], [5, 5, 15, 15]], np.float32),
        "gt_bboxes_labels": np.asarray([0, 1, 2]),
        "gt_ignore_flags": np.asarray([False, True, False]),
        "gt_masks": BitmapMasks(masks, 20, 20),
    }


def test_filter_by_box_and_by_mask():
    assert FilterAnnotations()(filterable())["gt_bboxes_labels"].tolist() == [0, 2]
    by_mask = FilterAnnotations(by_box=False, by_mask=True, min_gt_mask_area=2)(filterable())
    assert by_mask["gt_bboxes_labels"].tolist() == [0]
    assert len(by_mask["gt_masks"]) == 1


def test_filter_drops_a_sample_without_objects_left():
    huge = (100, 100)
    assert FilterAnnotations(min_gt_bbox_wh=huge)(filterable()) is None
    kept = FilterAnnotations(min_gt_bbox_wh=huge, keep_empty=False)(filterable())
    assert len(kept["gt_bboxes"]) == 0


def test_polygons_stay_polygons_without_poly2mask():
    given = with_masks([SQUARE, [1, 2]], [[1, 2, 3]], {"size": [12, 16], "counts": "abc"})
    results = LoadAnnotations(with_mask=True, poly2mask=False)(given)
    assert isinstance(results["gt_masks"], PolygonMasks)
    assert results["gt_ignore_flags"].tolist() == [False, True, True]
    assert results["gt_masks"].areas.tolist() == [40, 0, 0]


@pytest.mark.parametrize("mask", [np.zeros((3, 3), np.uint8), {"size": [3, 3], "counts": [9]}])
def test_a_mask_of_another_size_than_its_image_is_refused_by_name(mask):
    with pytest.raises(DataError, match=r"'cat.png' is \(3, 3\).*\(12, 16\)"):
        LoadAnnotations(with_mask=True)({**with_masks(mask), "img_path": "cat.png"})


def test_a_label_map_renames_what_the_file_holds(tmp_path):
    path = str(tmp_path / "map.png")
    cv2.imwrite(path, np.asarray([[0, 1], [2, 255]], np.uint8))
    load = LoadAnnotations(with_bbox=False, with_label=False, with_seg=True)
    results = load({"seg_map_path": path, "label_map": {0: 1, 1: 0}})
    assert results["gt_seg_map"].tolist() == [[1, 0], [2, 255]]


def test_proposals():
    boxes = np.arange(12).reshape(3, 4)
    results = LoadProposals(2)({"proposals": {"bboxes": boxes, "scores": np.asarray([3, 2, 1])}})
    assert results["proposals"].dtype == results["proposals_scores"].dtype == np.float32
    assert results["proposals"].tolist() == boxes[:2].tolist()
    assert results["proposals_scores"].tolist() == [3, 2]
    unscored = LoadProposals()({"proposals": InstanceData(bboxes=boxes)})
    assert unscored["proposals_scores"].tolist() == [0, 0, 0]
    assert LoadProposals()({"proposals": {"bboxes": []}})["proposals"].shape == (0, 4)
    with pytest.raises(DataError, match=r"\(3, 3\)"):
        LoadProposals()({"proposals": {"bboxes": np.zeros((3, 3))}})


def test_empty_annotations():
    results = LoadEmptyAnnotations(with_mask=True, with_seg=True)({"img_shape": (4, 5)})
    assert results["gt_bboxes"].shape == (0, 4)
    assert results["gt_ignore_flags"].dtype == bool
    assert results["gt_bboxes_labels"].dtype == np.int64
    assert results["gt_masks"].masks.shape == (0, 4, 5)
    assert (results["gt_seg_map"] == 255).all()


def test_panoptic_annotations(tmp_path):
    numbers = np.asarray([[70000, 70000, 0], [3, 300, 300]])
    colors = np.stack([numbers // 65536, numbers // 256 % 256, numbers % 256], axis=-1)  # BGR
    path = str(tmp_path / "panoptic.png")
    cv2.imwrite(path, colors.astype(np.uint8))
    segments = [
        {"id": 70000, "category": 5, "is_thing": True},
        {"id": 3, "category": 90, "is_thing": False},
        {"id": 300, "category": 1, "is_thing": True},
    ]
    things = [{"bbox": [0, 0, 2, 1], "bbox_label": 5, "ignore_flag": 0}] * 2
    given = {"instances": things, "seg_map_path": path, "segments_info": segments}
    results = LoadPanopticAnnotations()(dict(given))
    assert results["gt_seg_map"].tolist() == [[5, 5, 255], [90, 1, 1]]
    assert results["gt_masks"].masks.tolist() == [[[1, 1, 0], [0, 0, 0]], [[0, 0, 0], [0, 1, 1]]]
    assert results["gt_bboxes"].shape == (2, 4)
    with pytest.raises(DataError, match="category 300"):
        LoadPanopticAnnotations()({**given, "segments_info": [{"id": 3, "category": 300}]})
    assert "gt_masks" not in LoadPanopticAnnotations()({"instances": things})


def test_images_from_arrays_and_from_several_files(tmp_path):
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    results = LoadImageFromNDArray(to_float32=True)({"img": image})
    assert results["img"].dtype == np.float32
    assert results["ori_shape"] == results["img_shape"] == (4, 5)
    assert results["img_path"] is None
    with pytest.raises(DataError, match="LoadImageFromNDArray needs"):
        LoadImageFromNDArray()({})
    paths = [str(tmp_path / f"{number}.png") for number in range(2)]
    for path, plane in zip(paths, (image[..., 0], image[..., 1]), strict=True):
        cv2.imwrite(path, plane)
    stacked = LoadMultiChannelImageFromFiles()({"img_path": paths})
    assert np.array_equal(stacked["img"], image[..., :2])
    cv2.imwrite(paths[1], image[:2, :, 0])
    with pytest.raises(DataError, match="differ in size"):
        LoadMultiChannelImageFromFiles()({"img_path": paths})


def test_an_inferencer_may_be_given_a_path_an_array_or_a_sample(tmp_path):
    image = np.full((4, 5, 3), 7, np.uint8)
    path = str(tmp_path / "image.png")
    cv2.imwrite(path, image)
    for given in (path, image, {"img": image}, {"img_path": path}):
        assert np.array_equal(InferencerLoader()(given)["img"], image)
