"""ToTensor, ImageToTensor, Transpose and WrapFieldsToLists."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from toolkit.transforms import ImageToTensor, ToTensor, Transpose, WrapFieldsToLists, to_tensor
from toolkit.utils.errors import ConfigError, DataError


def test_what_becomes_a_tensor():
    array = np.arange(3)
    assert to_tensor(array).data_ptr() == torch.from_numpy(array).data_ptr()
    assert to_tensor([1.0, 2.0]).tolist() == [1.0, 2.0]
    assert to_tensor(3).tolist() == [3]
    assert to_tensor(2.5).dtype == torch.float32
    assert to_tensor(to_tensor(3)).tolist() == [3]
    assert to_tensor(np.arange(6)[::-2]).tolist() == [5, 3, 1]
    with pytest.raises(DataError, match="'abc'"):
        to_tensor("abc")


def test_keys_may_be_paths():
    results = ToTensor(["a.b", "c"])({"a": {"b": np.ones(2)}, "c": [1]})
    assert isinstance(results["a"]["b"], torch.Tensor)
    assert isinstance(results["c"], torch.Tensor)
    with pytest.raises(DataError, match="'x' isn't among"):
        ToTensor(["a.x"])({"a": {}})
    with pytest.raises(ConfigError, match=r"\['img'\]"):
        ToTensor("img")


def test_images_and_axes():
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    results = ImageToTensor(["img", "gray"])({"img": image, "gray": image[..., 0]})
    assert results["img"].shape == (3, 2, 4)
    assert results["img"].is_contiguous()
    assert results["gray"].shape == (1, 2, 4)
    assert Transpose(["img"], (2, 0, 1))({"img": image})["img"].shape == (3, 2, 4)
    assert Transpose(["img"], (2, 0, 1))({"img": torch.from_numpy(image)})["img"].shape == (3, 2, 4)


def test_lists_of_one():
    assert WrapFieldsToLists()({"a": 1, "b": [2]}) == {"a": [1], "b": [[2]]}
