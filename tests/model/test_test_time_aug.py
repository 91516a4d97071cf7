"""Several views of a batch, one prediction a sample."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from toolkit.model import BaseModel, BaseTTAModel
from toolkit.registry import MODELS
from toolkit.utils import ConfigError, DataError


@MODELS.register_module(name="SumForTest", force=True)
class Sum(BaseModel):
    def forward(self, inputs: torch.Tensor, data_samples: object = None, mode: str = "tensor") -> list[float]:
        return [float(one.sum()) for one in inputs]


class Mean(BaseTTAModel):
    def merge_preds(self, data_samples_list: list) -> list:
        return [sum(views) / len(views) for views in data_samples_list]


VIEWS = [torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [6.0]])]


@pytest.mark.parametrize("data", [{"inputs": VIEWS, "data_samples": [None, None]}, (VIEWS, [None, None])])
def test_views_are_merged_sample_by_sample(data: object) -> None:
    model = Mean({"type": "SumForTest"})
    assert model.test_step(data) == model.val_step(data) == [2.0, 4.0]
    assert model(VIEWS[0]) == [1.0, 2.0]


def test_the_preprocessor_of_a_config_is_replaced() -> None:
    preprocessor = nn.Identity()
    assert Mean({"type": "SumForTest"}, preprocessor).module.data_preprocessor is preprocessor


def test_what_cannot_be_augmented_is_named() -> None:
    with pytest.raises(ConfigError, match="got Linear"):
        Mean(nn.Linear(1, 1))
    with pytest.raises(DataError, match="got Tensor"):
        Mean(Sum()).test_step(torch.zeros(1))
    with pytest.raises(TypeError, match="abstract"):
        BaseTTAModel(Sum())
