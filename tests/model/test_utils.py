"""Batches, unused parameters and batch normalisation."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from toolkit.model import (
    convert_sync_batchnorm,
    detect_anomalous_params,
    merge_dict,
    revert_sync_batchnorm,
    stack_batch,
)
from toolkit.utils import ConfigError, DataError


def test_stack_batch_pads_at_the_far_ends() -> None:
    batch = stack_batch([torch.ones(2, 3, 5), torch.ones(2, 4, 2)], pad_size_divisor=4, pad_value=7)
    assert batch.shape == (2, 2, 4, 8)
    assert (batch[0, :, :3, :5] == 1).all()
    assert batch[0].sum() == 30 + 7 * (64 - 30)
    assert (batch[1, :, :4, :2] == 1).all()
    assert batch[1].sum() == 16 + 7 * (64 - 16)


def test_stack_batch_keeps_dtype_and_any_dimension() -> None:
    masks = stack_batch([torch.ones(1, 2, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)], pad_value=0)
    assert masks.dtype is torch.bool
    assert masks.sum() == 5
    same = [torch.rand(3, 4, 4), torch.rand(3, 4, 4)]
    assert torch.equal(stack_batch(same, 2), torch.stack(same))
    assert stack_batch([torch.rand(3, 2, 4, 4)], 8).shape == (1, 3, 8, 8, 8)


@pytest.mark.parametrize(
    "tensors", [[], [torch.zeros(3, 2, 2), torch.zeros(1, 2, 2)], [torch.zeros(3, 2), torch.zeros(3)]]
)
def test_stack_batch_names_what_does_not_fit(tensors: list) -> None:
    with pytest.raises(DataError, match="batch"):
        stack_batch(tensors)


def test_merge_dict_can_be_traced() -> None:
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> dict:
            return merge_dict({"a": x}, {"b": x + 1, "a": x + 2})

    assert merge_dict({"a": 1}, {"a": 2, "b": 3}) == {"a": 2, "b": 3}
    traced = torch.fx.symbolic_trace(Model())
    assert {key: value.item() for key, value in traced(torch.zeros(1)).items()} == {"a": 2.0, "b": 1.0}


def test_unused_parameters_are_found(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.ModuleDict({"used": nn.Linear(1, 1), "unused": nn.Linear(1, 1), "frozen": nn.Linear(1, 1)})
    model["frozen"].requires_grad_(False)
    loss = model["used"](torch.ones(1, 1)).sum()
    loss.backward()
    with caplog.at_level(logging.ERROR):
        assert detect_anomalous_params(loss, model) == ["unused.weight", "unused.bias"]
    assert "unused.weight" in caplog.text


def test_sync_batchnorm_there_and_back() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 1), nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(2, affine=False))
    )
    data = torch.rand(4, 1, 3, 3)
    model(data)
    model.eval()
    expected, state = model(data), {key: value.clone() for key, value in model.state_dict().items()}
    synced = convert_sync_batchnorm(model)
    assert all(type(part) is nn.SyncBatchNorm for part in synced[1])
    reverted = revert_sync_batchnorm(synced)
    assert not any(isinstance(part, nn.SyncBatchNorm) for part in reverted.modules())
    assert torch.equal(reverted(data), expected)
    assert all(torch.equal(value, state[key]) for key, value in reverted.state_dict().items())
    assert not reverted[1][0].training


def test_a_single_norm_is_converted_too() -> None:
    assert type(convert_sync_batchnorm(nn.BatchNorm1d(3))) is nn.SyncBatchNorm
    sync = nn.SyncBatchNorm(3)
    assert convert_sync_batchnorm(sync) is sync
    with pytest.raises(ConfigError, match="sync_bn='torch'"):
        convert_sync_batchnorm(sync, "mmcv")
