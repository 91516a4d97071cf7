from __future__ import annotations

import numpy as np
import pytest

from toolkit.classification.datasets import ShapesClassification
from toolkit.dataset.shapes_render import CLASSES, render_shapes
from toolkit.registry import DATASETS
from toolkit.utils.errors import DataError

PIPELINE = [{"type": "LoadImageFromFile"}]


def test_image_and_label_belong_together():
    dataset = ShapesClassification(num_images=30, pipeline=PIPELINE)
    for index in (0, 7, 29):
        sample = dataset[index]
        drawn = render_shapes(0, index, (32, 32), (1, 1), (0.25, 0.42), "train")
        np.testing.assert_array_equal(sample["img"], drawn.image)
        assert [sample["gt_label"]] == drawn.labels.tolist()


def test_all_classes_occur_and_splits_differ():
    train = ShapesClassification(num_images=90, pipeline=PIPELINE)
    assert np.bincount(train.get_gt_labels(), minlength=3).min() > 15
    assert train.metainfo["classes"] == CLASSES
    test = ShapesClassification(num_images=90, split="test", pipeline=PIPELINE)
    assert (train[0]["img"] != test[0]["img"]).any()


def test_registered():
    assert isinstance(
        DATASETS.build({"type": "ShapesClassification", "num_images": 3, "indices": [2]}),
        ShapesClassification,
    )


@pytest.mark.parametrize("wrong", [{"num_images": 0}, {"size": (4, 32)}, {"radius": (0.4, 0.2)}])
def test_senseless_numbers(wrong):
    with pytest.raises(DataError, match="ShapesClassification got"):
        ShapesClassification(**wrong)
