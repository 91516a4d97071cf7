"""Checks of masks."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from toolkit.detection.datasets.segmentations import RUN_SIZE, usable_mask


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 80), st.integers(1, 80), st.floats(0, 1), st.integers(0, 2**31))
def test_run_lengths_that_pycocotools_writes_cover_their_image(height, width, part, seed):
    random = np.random.RandomState(seed)
    blocks = random.rand(-(-height // 7), -(-width // 5)) < part
    bitmap = np.kron(blocks, np.ones((7, 5)))[:height, :width].astype(np.uint8)
    runs = coco_mask.encode(np.asfortranarray(bitmap))
    for counts in (runs["counts"], runs["counts"].decode()):
        mask = {"size": [height, width], "counts": counts}
        assert usable_mask(mask, height, width) == (mask, None)
        # the same runs said to be of another image
        assert usable_mask({**mask, "size": [height + 1, width]}, height + 1, width) == (None, RUN_SIZE)
