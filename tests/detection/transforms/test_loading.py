"""LoadAnnotations and FilterAnnotations."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from toolkit.detection.masks import BitmapMasks
from toolkit.detection.transforms import FilterAnnotations, LoadAnnotations
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
    [{"with_mask": True, "poly2mask": False}, {"box_type": "qbox"}, {"imdecode_backend": "tifffile"}],
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
