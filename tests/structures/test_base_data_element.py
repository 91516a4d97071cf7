"""`BaseDataElement`: fields, metainfo, conversions."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from toolkit.structures import BaseDataElement, InstanceData


class Sample(BaseDataElement):
    """As task code writes it: a typed field behind a property."""

    @property
    def gt_instances(self) -> InstanceData:
        return self._gt_instances

    @gt_instances.setter
    def gt_instances(self, value: InstanceData) -> None:
        self.set_field(value, "_gt_instances", dtype=InstanceData)

    @gt_instances.deleter
    def gt_instances(self) -> None:
        del self._gt_instances


def make():
    return BaseDataElement(metainfo={"img_id": 3, "shape": (4, 5)}, scores=torch.ones(2), names=["a", "b"])


def test_fields_and_metainfo():
    one = make()
    assert one.keys() == ["scores", "names"]
    assert one.metainfo_keys() == ["img_id", "shape"]
    assert one.all_keys() == ["img_id", "shape", "scores", "names"]
    assert one.metainfo == {"img_id": 3, "shape": (4, 5)}
    assert one.metainfo_values() == [3, (4, 5)]
    assert [name for name, _ in one.items()] == one.keys()
    assert len(one.all_values()) == len(list(one.all_items())) == 4
    assert "scores" in one
    assert "img_id" in one
    assert "other" not in one
    assert one.get("scores") is one.scores
    assert one.get("other") is None
    assert one.get("other", 7) == 7


def test_metainfo_is_copied_and_data_is_not():
    facts, values = {"list": [1]}, [1]
    one = BaseDataElement(metainfo=facts, numbers=values)
    facts["list"].append(2)
    assert one.list == [1]
    assert one.numbers is values


def test_a_name_belongs_to_one_of_the_two():
    one = make()
    with pytest.raises(AttributeError, match="img_id"):
        one.img_id = 4
    with pytest.raises(AttributeError, match="scores"):
        one.set_metainfo({"scores": 1})
    one.set_metainfo({"img_id": 4})
    one.scores = torch.zeros(1)
    assert one.img_id == 4
    assert one.scores.shape == (1,)


@pytest.mark.parametrize("name", ["_metainfo_fields", "_data_fields"])
def test_private_names_are_protected(name):
    one = make()
    with pytest.raises(AttributeError, match="reserved"):
        setattr(one, name, {})
    with pytest.raises(AttributeError, match="reserved"):
        delattr(one, name)
    with pytest.raises(AttributeError, match="reserved"):
        one.pop(name)


def test_delete_and_pop():
    one = make()
    del one.scores
    assert "scores" not in one
    assert not hasattr(one, "scores")
    assert one.pop("names") == ["a", "b"]
    assert one.pop("names", 1) == 1
    with pytest.raises(KeyError, match="names"):
        one.pop("names")
    with pytest.raises(TypeError):
        one.pop()
    del one.img_id
    assert one.metainfo_keys() == ["shape"]
    with pytest.raises(AttributeError):
        del one.scores


def test_a_missing_field_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no field 'score'; it has img_id, shape, scores, names"):
        _ = make().score


def test_new_clone_and_update():
    one = make()
    same = one.new()
    assert same.scores is one.scores
    other = one.new(metainfo={"a": 1}, data={"b": 2})
    assert other.all_keys() == ["a", "b"]
    copied = one.clone()
    copied.scores = torch.zeros(9)
    assert one.scores.shape == (2,)
    one.update(BaseDataElement(metainfo={"img_id": 9}, extra=1))
    assert one.img_id == 9
    assert one.keys() == ["scores", "names", "extra"]
    with pytest.raises(TypeError):
        one.update({"a": 1})


def test_wrong_types():
    one = make()
    with pytest.raises(TypeError, match="metainfo"):
        one.set_metainfo([1])
    with pytest.raises(TypeError, match="data"):
        one.set_data([1])
    with pytest.raises(ValueError, match="field_type"):
        one.set_field(1, "x", field_type="other")


def test_properties_with_a_typed_field():
    sample = Sample()
    sample.gt_instances = InstanceData(labels=torch.zeros(3))
    assert sample.keys() == ["gt_instances"]
    assert "gt_instances" in sample
    assert sample.to(torch.float64).gt_instances.labels.dtype == torch.float64
    with pytest.raises(TypeError, match="InstanceData"):
        sample.gt_instances = [1]
    assert sample.clone().gt_instances is sample.gt_instances
    assert list(sample.to_dict()) == ["gt_instances"]
    del sample.gt_instances
    assert "gt_instances" not in sample
    assert sample.keys() == []


def test_conversions_reach_into_nested_elements():
    inner = InstanceData(boxes=torch.ones(2, 4, requires_grad=True))
    one = BaseDataElement(metainfo={"id": 1}, inner=inner, array=np.ones(3), text="x")
    assert one.detach().inner.boxes.requires_grad is False
    assert inner.boxes.requires_grad
    assert isinstance(one.numpy().inner.boxes, np.ndarray)
    assert isinstance(one.to_tensor().array, torch.Tensor)
    assert one.to(torch.float16).inner.boxes.dtype == torch.float16
    assert one.cpu().inner.boxes.device.type == "cpu"
    assert one.to("meta").inner.boxes.device.type == "meta"
    assert one.to("meta").id == 1
    flat = one.to_dict()
    assert flat["inner"]["boxes"] is inner.boxes
    assert flat["id"] == 1


def test_pickle_and_deepcopy():
    one = make()
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert other.all_keys() == one.all_keys()
        assert torch.equal(other.scores, one.scores)
        assert other.scores is not one.scores
        other.fresh = 1
        assert "fresh" not in one


def test_repr_shows_nested_fields():
    sample = Sample(metainfo={"img_id": 5})
    sample.gt_instances = InstanceData(labels=torch.zeros(3))
    text = repr(sample)
    assert "img_id: 5" in text
    assert "labels: tensor([0., 0., 0.])" in text
    assert text.index("META") < text.index("DATA")
