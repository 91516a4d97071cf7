"""DetDataSample."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from toolkit.detection.structures import DetDataSample
from toolkit.structures import InstanceData, PixelData


def make_sample() -> DetDataSample:
    sample = DetDataSample(metainfo={"img_shape": (240, 320), "img_id": 7})
    sample.gt_instances = InstanceData(bboxes=torch.rand(2, 4), labels=torch.tensor([0, 1]))
    return sample


def test_fields_can_be_set_asked_for_and_deleted():
    sample = make_sample()
    assert "gt_instances" in sample
    assert "pred_instances" not in sample
    assert sample.keys() == ["gt_instances"]
    assert sample.img_shape == (240, 320)
    del sample.gt_instances
    assert "gt_instances" not in sample
    with pytest.raises(AttributeError, match="gt_instances"):
        _ = sample.gt_instances


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("gt_instances", PixelData(sem_seg=torch.zeros(1, 2, 2))),
        ("pred_instances", {"bboxes": torch.zeros(0, 4)}),
        ("proposals", torch.zeros(0, 4)),
        ("gt_sem_seg", np.zeros((2, 2))),
        ("pred_panoptic_seg", InstanceData()),
    ],
)
def test_a_field_of_another_type_is_refused(name: str, wrong: object):
    with pytest.raises(TypeError, match=name):
        setattr(DetDataSample(), name, wrong)


def test_the_type_holds_through_the_constructor_and_new_too():
    with pytest.raises(TypeError, match="gt_instances"):
        DetDataSample(gt_instances=[1])
    with pytest.raises(TypeError, match="gt_instances"):
        make_sample().new(data={"gt_instances": [1]})


def test_other_fields_are_free():
    sample = make_sample()
    sample.note = "blurred"
    assert sample.note == "blurred"


def test_moving_converts_each_field_once():
    moved = make_sample().to(torch.float64)
    assert moved.gt_instances.bboxes.dtype == torch.float64
    assert isinstance(make_sample().numpy().gt_instances.labels, np.ndarray)
    assert set(make_sample().to_dict()) == {"img_shape", "img_id", "gt_instances"}


def test_it_survives_pickling():
    sample = make_sample()
    again = pickle.loads(pickle.dumps(sample))
    assert again.img_id == 7
    assert torch.equal(again.gt_instances.bboxes, sample.gt_instances.bboxes)
    with pytest.raises(TypeError):
        again.gt_instances = 3
