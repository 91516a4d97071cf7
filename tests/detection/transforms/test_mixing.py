"""Mosaic, MixUp, CopyPaste, and where their partners come from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from toolkit.dataset import BaseDataset, build_dataloader, current_source
from toolkit.detection.masks import BitmapMasks, PolygonMasks
from toolkit.detection.transforms import CachedMixUp, CachedMosaic, CopyPaste, MixUp, Mosaic
from toolkit.utils.errors import ConfigError, DataError

COUNT_KEYS = ("gt_bboxes_labels", "gt_ignore_flags", "gt_masks", "gt_instances_ids")


def sample(seed: int, objects: int = 3, height: int = 40, width: int = 60, polygons: bool = False) -> dict:
    """Objects are filled rectangles; the semantic map and the image's blue say their number."""
    rng = np.random.RandomState(seed)
    left, top = rng.randint(0, width - 20, objects), rng.randint(0, height - 20, objects)
    right, bottom = left + rng.randint(6, 20, objects), top + rng.randint(6, 20, objects)
    image = np.zeros((height, width, 3), np.uint8)
    bitmaps = np.zeros((objects, height, width), np.uint8)
    outlines = []
    for number, (x1, y1, x2, y2) in enumerate(zip(left, top, right, bottom, strict=True)):
        image[y1:y2, x1:x2] = 50 + 40 * number
        bitmaps[number, y1:y2, x1:x2] = 1
        outlines.append([np.asarray([x1, y1, x2, y1, x2, y2, x1, y2], np.float64)])
    masks = PolygonMasks(outlines, height, width) if polygons else BitmapMasks(bitmaps, height, width)
    return {
        "img": image,
        "img_shape": (height, width),
        "gt_bboxes": np.stack([left, top, right, bottom], axis=1).astype(np.float32),
        "gt_bboxes_labels": np.arange(objects),
        "gt_ignore_flags": np.zeros(objects, bool),
        "gt_instances_ids": np.arange(objects) + 10 * seed,
        "gt_masks": masks,
        "gt_seg_map": image[..., 0].copy(),
    }


def check(results: dict, tolerance: float) -> None:
    """Equal counts, masks of the image's size, boxes inside it and around their masks."""
    height, width = results["img"].shape[:2]
    boxes, masks = results["gt_bboxes"], results["gt_masks"]
    assert results["img_shape"] == (height, width)
    assert results["img"].dtype == np.uint8
    assert boxes.dtype == np.float32
    assert boxes.shape == (len(boxes), 4)
    assert {len(results[key]) for key in COUNT_KEYS} == {len(boxes)}
    assert (masks.height, masks.width) == (height, width)
    assert (boxes >= 0).all()
    assert (boxes[:, 2::2] <= width).all()
    assert (boxes[:, 3::2] <= height).all()
    seen = masks.areas > 0
    assert np.abs(masks.get_bboxes() - boxes)[seen].max(initial=0) <= tolerance


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 4), min_size=4, max_size=4), st.booleans())
def test_a_mosaic_agrees_with_itself(seed, objects, polygons):
    first, *others = [sample(seed + k, count, 40 + 7 * k, 60, polygons) for k, count in enumerate(objects)]
    np.random.seed(seed)
    results = Mosaic(img_scale=(64, 48))({**first, "mix_results": others})
    assert results["img"].shape == (96, 128, 3)
    check(results, tolerance=2.0)
    assert results["gt_seg_map"].shape == (96, 128)
    outside = results["gt_seg_map"] == 255
    assert (results["img"][outside] == 114).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_a_mixture_agrees_with_itself(seed, objects, others, polygons):
    first, second = sample(seed, objects, polygons=polygons), sample(seed + 1, others, 50, 50, polygons)
    before = {key: first[key].copy() for key in ("img", "gt_bboxes")}
    np.random.seed(seed)
    results = MixUp(img_scale=(80, 64))({**first, "mix_results": [second]})
    check(results, tolerance=2.0)
    if not others:
        assert np.array_equal(results["img"], before["img"])
    assert np.array_equal(results["gt_bboxes"][:objects], before["gt_bboxes"])


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_pasted_objects_lie_on_top(seed, objects, others, polygons):
    first, second = sample(seed, objects, polygons=polygons), sample(seed + 1, others, polygons=polygons)
    np.random.seed(seed)
    pasted = CopyPaste(selected=False, mask_occluded_thr=0, bbox_occluded_thr=0)
    results = pasted({**first, "mix_results": [second]})
    check(results, tolerance=0.0 if not polygons else 1.5)
    masks = results["gt_masks"].masks
    kept = len(masks) - others
    on_top = masks[kept:].any(axis=0)
    assert not (masks[:kept].any(axis=0) & on_top).any()
    assert np.array_equal(results["img"][on_top], second["img"][on_top])
    assert np.array_equal(results["img"][~on_top], first["img"][~on_top])


def test_copy_paste_says_what_it_needs():
    bare = {key: value for key, value in sample(0).items() if key != "gt_masks"}
    with pytest.raises(DataError, match="paste_by_box=True"):
        CopyPaste()({**sample(1), "mix_results": [bare]})
    with pytest.raises(DataError, match="one size"):
        CopyPaste()({**sample(1), "mix_results": [sample(2, height=50)]})
    boxes = CopyPaste(paste_by_box=True)({**bare, "mix_results": [dict(bare)]})
    assert isinstance(boxes["gt_masks"], BitmapMasks)


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        (Mosaic, {"img_scale": 640}, "img_scale=640"),
        (Mosaic, {"prob": 1.5}, "prob=1.5"),
        (MixUp, {"ratio_range": (2, 1)}, "ratio_range"),
        (CachedMosaic, {"max_cached_images": 3}, "max_cached_images=3"),
        (CachedMixUp, {"max_cached_images": 1}, "max_cached_images=1"),
    ],
)
def test_arguments_out_of_range_are_named(kind, arguments, words):
    with pytest.raises(ConfigError, match=words):
        kind(**arguments)


class Numbered(BaseDataset):
    """Samples whose picture is their number."""

    def load_data_list(self) -> list[dict]:
        return [{"number": number, "instances": [{}] * (number % 3)} for number in range(12)]

    def prepare_data(self, idx: int) -> dict | None:
        """As datasets of users have it."""
        return self.pipeline(self.get_data_info(idx))


def load(results: dict) -> dict:
    number = results["number"]
    return {**sample(number, number % 3), "number": number, "loaded_from": current_source() is not None}


def jittered(results: dict) -> dict:
    """Random, and before the mixing: partners must draw for themselves."""
    results["img"] = cv2.add(results["img"], int(np.random.randint(1, 50)))
    return results


def packed(results: dict) -> dict:
    return {
        "image": torch.from_numpy(results["img"].copy()),
        "boxes": torch.from_numpy(results["gt_bboxes"]),
        "number": results["number"],
    }


def numbered(**mosaic) -> Numbered:
    steps = [
        load,
        jittered,
        CachedMosaic(img_scale=(30, 20), **mosaic),
        CachedMixUp(img_scale=(60, 40), **mosaic),
        packed,
    ]
    return Numbered(pipeline=steps)


def batches(workers: int, **mosaic) -> list[dict]:
    loader = build_dataloader(
        {"dataset": numbered(**mosaic), "batch_size": 3, "num_workers": workers, "shuffle": True}, seed=3
    )
    return list(loader)


def test_batches_do_not_depend_on_the_number_of_workers():
    alone, several = batches(0), batches(2)
    assert len(alone) == len(several) == 4
    for one, other in zip(alone, several, strict=True):
        assert one["number"] == other["number"]
        assert all(torch.equal(*pair) for pair in zip(one["image"], other["image"], strict=True))
        assert all(torch.equal(*pair) for pair in zip(one["boxes"], other["boxes"], strict=True))


def test_a_sample_is_the_same_whatever_came_before_it():
    """So a run that is resumed in the middle continues as it would have."""
    dataset = numbered()
    np.random.seed(5)
    first = dataset[7]["image"]
    for index in range(5):
        dataset[index]
    np.random.seed(5)
    assert torch.equal(dataset[7]["image"], first)


def test_a_workers_cache_depends_on_what_came_before():
    dataset = Numbered(pipeline=[load, CachedMosaic(img_scale=(30, 20), worker_cache=True), packed])
    first = dataset[7]["image"]
    assert torch.equal(first, torch.from_numpy(sample(7, 1)["img"]))  # alone in the cache, it stays as it is
    for index in range(6):
        dataset[index]
    assert not torch.equal(dataset[7]["image"], first)


def test_partners_are_read_once_each():
    read = []

    def counted(results: dict) -> dict:
        read.append(results["number"])
        return load(results)

    dataset = Numbered(pipeline=[counted, CachedMosaic(img_scale=(30, 20)), packed])
    dataset[3]
    assert read[0] == 3
    assert len(read) == 4


def test_a_transform_that_partners_never_reach_says_so():
    def drop_all_but_one(results: dict) -> dict | None:
        return results if results["number"] == 0 else None

    dataset = Numbered(pipeline=[load, drop_all_but_one, CachedMixUp(img_scale=(60, 40)), packed])
    dataset.data_list = dataset.data_list.select([*range(12), *[1] * 500])
    np.random.seed(0)
    with pytest.raises(DataError, match="none came as far"):
        dataset[0]
