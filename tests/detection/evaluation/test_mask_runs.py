"""Run lengths of bitmaps, against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from toolkit.detection.evaluation.mask_runs import encode_masks
from toolkit.detection.masks import BitmapMasks


def referee(bitmap):
    runs = coco_mask.encode(np.asfortranarray(bitmap.astype(np.uint8)))
    return {"size": list(runs["size"]), "counts": runs["counts"].decode()}


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([0, 0.2, 0.8, 1]), st.integers(0, 2**31))
def test_runs_are_those_of_pycocotools(height, width, part, seed):
    random = np.random.RandomState(seed)
    bitmap = random.rand(height, width) < part
    bitmap[: random.randint(height + 1)] &= random.rand() < 0.5
    framed = np.zeros((height + 7, width + 9), bool)
    framed[3:-4, 5:-4] = bitmap
    for one in (bitmap, framed):
        assert encode_masks(one[None]) == [referee(one)]


@pytest.mark.parametrize("kind", [torch.from_numpy, np.asarray, lambda m: m.astype(np.uint8) * 7])
def test_masks_of_any_kind(kind):
    masks = np.zeros((3, 8, 6), bool)
    masks[0, 2:5, 1:4] = masks[2] = True
    assert encode_masks(kind(masks)) == [referee(mask) for mask in masks]
    assert encode_masks(kind(masks)[:0]) == []
    assert encode_masks(BitmapMasks(masks, 8, 6)) == [referee(mask) for mask in masks]
    runs = [referee(mask) for mask in masks]
    assert encode_masks([{**one, "counts": one["counts"].encode()} for one in runs]) == runs
