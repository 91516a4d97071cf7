"""ShapesDataset, through the pipeline that files go through."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.dataset.shapes_render import render_shapes
from toolkit.detection.datasets import ShapesDataset
from toolkit.detection.registry import DATASETS
from toolkit.utils import DataError

PIPELINE = [
    {"type": "LoadImageFromFile"},
    {"type": "LoadAnnotations", "with_mask": True},
    {"type": "PackDetInputs"},
]


def build(**kwargs):
    return DATASETS.build({"type": "ShapesDataset", "num_images": 6, "pipeline": PIPELINE, **kwargs})


def test_a_sample_holds_the_rendered_picture_and_its_objects():
    dataset = build(size=(96, 64), seed=4)
    packed = dataset[3]
    scene = render_shapes(4, 3, (96, 64))
    assert np.array_equal(packed["inputs"].numpy(), scene.image.transpose(2, 0, 1))
    truth = packed["data_samples"].gt_instances
    assert np.array_equal(truth.bboxes.numpy(), scene.boxes)
    assert np.array_equal(truth.labels.numpy(), scene.labels)
    assert np.array_equal(truth.masks.masks, scene.masks)
    assert packed["data_samples"].img_path.startswith("shapes://train/4/96x64/")
    assert packed["data_samples"].ori_shape == (64, 96)


def test_both_names_build_it_and_it_knows_its_classes():
    assert isinstance(build(type="Shapes"), ShapesDataset)
    assert build().metainfo["classes"] == ("circle", "square", "triangle")
    assert len(build().metainfo["palette"]) == 3
    assert len(build()) == 6


def test_a_transform_cannot_spoil_the_next_reading():
    dataset = build()
    first = dataset[0]["data_samples"].gt_instances
    first.bboxes += 100
    first.masks.masks[:] = 0
    again = dataset[0]["data_samples"].gt_instances
    assert not np.array_equal(first.bboxes, again.bboxes)
    assert again.masks.masks.any()


@pytest.mark.parametrize(
    "kwargs", [{"size": (4, 4)}, {"num_shapes": (0, 3)}, {"num_shapes": (3, 2)}, {"radius": (0.2, 0.6)}]
)
def test_numbers_that_make_no_sense(kwargs):
    with pytest.raises(DataError, match="ShapesDataset got"):
        ShapesDataset(**kwargs)
