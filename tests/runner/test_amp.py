"""`autocast` and activation checkpointing, where MMEngine has them."""

from __future__ import annotations

import torch

from toolkit import model
from toolkit.runner import autocast, turn_on_activation_checkpointing


def test_autocast_on_the_device_at_hand() -> None:
    layer = torch.nn.Linear(2, 2)
    with autocast(device_type="cpu"):
        assert layer(torch.ones(1, 2)).dtype is torch.bfloat16
    with autocast(device_type="cpu", dtype=torch.float16):
        assert layer(torch.ones(1, 2)).dtype is torch.float16
    with autocast(enabled=False):
        assert layer(torch.ones(1, 2)).dtype is torch.float32


def test_activation_checkpointing_is_the_models() -> None:
    assert turn_on_activation_checkpointing is model.turn_on_activation_checkpointing
