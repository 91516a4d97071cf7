"""Data elements: fields and meta information, tensors' methods, instances, pixels and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from toolkit.structures import BaseDataElement, InstanceData, LabelData, PixelData


def element() -> BaseDataElement:
    return BaseDataElement(metainfo={"img_shape": (4, 6), "img_id": 1}, bboxes=torch.zeros(2, 4))


def test_fields_and_meta_information() -> None:
    data = element()
    assert data.bboxes.shape == (2, 4)
    assert data.img_shape == (4, 6)
    assert set(data.keys()) == {"bboxes"}
    assert set(data.metainfo_keys()) == {"img_shape", "img_id"}
    assert set(data.all_keys()) == {"bboxes", "img_shape", "img_id"}
    assert data.metainfo == {"img_shape": (4, 6), "img_id": 1}
    assert "bboxes" in data
    assert "scores" not in data
    assert data.get("scores", 3) == 3


def test_changing_them() -> None:
    data = element()
    data.scores = torch.ones(2)
    data.set_metainfo({"pad_shape": (8, 8)})
    data.set_data({"labels": torch.zeros(2)})
    assert set(data.keys()) == {"bboxes", "scores", "labels"}
    assert data.pad_shape == (8, 8)
    with pytest.raises(AttributeError):
        data.img_shape = (1, 1)  # meta information is not overwritten by chance
    data.set_field((1, 1), "img_shape", field_type="metainfo")
    assert data.img_shape == (1, 1)
    del data.scores
    assert data.pop("labels").shape == (2,)
    assert set(data.keys()) == {"bboxes"}
    other = data.new(metainfo={"img_id": 9})
    assert other.img_id == 9
    assert other.bboxes.equal(data.bboxes)
    cloned = data.clone()
    cloned.bboxes = cloned.bboxes + 1
    assert data.bboxes.sum() == 0
    other.update(cloned)
    assert other.bboxes.sum() == 8


def test_tensors_methods() -> None:
    data = BaseDataElement(x=torch.ones(1, requires_grad=True), inner=BaseDataElement(y=torch.zeros(1)))
    assert data.detach().x.requires_grad is False
    assert data.to(torch.float64).inner.y.dtype == torch.float64
    assert isinstance(data.detach().numpy().inner.y, np.ndarray)
    assert torch.is_tensor(data.detach().numpy().to_tensor().x)
    assert data.cpu().x.device.type == "cpu"
    assert set(data.to_dict()) == {"x", "inner"}
    assert "META INFORMATION" in repr(element())
    assert "img_shape" in repr(element())


def test_a_structure_with_fields_of_a_type() -> None:
    class Detection(BaseDataElement):
        @property
        def gt(self) -> InstanceData:
            return self._gt

        @gt.setter
        def gt(self, value: InstanceData) -> None:
            self.set_field(value, "_gt", dtype=InstanceData)

    sample = Detection()
    sample.gt = InstanceData(bboxes=torch.zeros(1, 4))
    assert len(sample.gt) == 1
    assert "gt" in sample
    with pytest.raises(TypeError):
        sample.gt = torch.zeros(1, 4)  # type: ignore[assignment]


def instances() -> InstanceData:
    return InstanceData(
        metainfo={"img_id": 3},
        det_labels=torch.tensor([2, 0, 1]),
        det_scores=torch.tensor([0.8, 0.7, 0.9]),
        names=["a", "b", "c"],
    )


def test_instances_are_indexed() -> None:
    data = instances()
    assert len(data) == 3
    assert data[1].names == ["b"]
    assert data[0:2].det_labels.tolist() == [2, 0]
    assert data[data.det_scores > 0.75].names == ["a", "c"]
    assert data[data.det_labels.argsort()].names == ["b", "c", "a"]
    assert data[np.array([True, False, True])].names == ["a", "c"]
    assert data[[0, 2]].img_id == 3
    assert len(data[10:]) == 0
    both = InstanceData.cat([data, data[:1]])
    assert both.names == ["a", "b", "c", "a"]
    with pytest.raises((AssertionError, ValueError)):
        data.bboxes = torch.zeros(5, 4)


def test_pixels() -> None:
    data = PixelData(metainfo={"img_id": 1}, image=np.zeros((4, 20, 40)), featmap=torch.zeros(10, 20, 40))
    assert data.shape == (20, 40)
    part = data[10:20, 20:40]
    assert part.shape == (10, 20)
    assert part.image.shape == (4, 10, 20)
    data.map3 = torch.zeros(20, 40)
    assert data.map3.shape == (1, 20, 40)
    wrong: Any = torch.zeros(2, 10, 20)
    with pytest.raises((AssertionError, ValueError)):
        data.map4 = wrong


def test_labels() -> None:
    onehot = LabelData.label_to_onehot(torch.tensor([1, 3]), num_classes=4)
    assert onehot.tolist() == [0, 1, 0, 1]
    assert LabelData.onehot_to_label(onehot).tolist() == [1, 3]
