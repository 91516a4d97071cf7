"""Deformable convolutions under automatic mixed precision."""

from __future__ import annotations

import pytest
import torch

from toolkit.model.cnn import build_conv_layer
from toolkit.utils import TrainingError


@pytest.mark.parametrize("kind", ["DCN", "DCNv2"])
def test_mixed_precision_on_a_cpu(kind: str) -> None:
    torch.manual_seed(0)
    layer = build_conv_layer({"type": kind}, 4, 6, 3, padding=1)
    torch.nn.init.normal_(layer.conv_offset.weight, std=0.1)
    x = torch.randn(2, 4, 8, 9)
    plain = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        for given in (x, x.bfloat16()):
            mixed = layer(given)
            mixed.float().sum().backward()
            assert mixed.shape == plain.shape
            torch.testing.assert_close(mixed.float(), plain, rtol=0, atol=0.1)
    assert layer.weight.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["DCN", "DCNv2"])
def test_offsets_that_are_no_numbers_end_in_a_message(kind: str) -> None:
    layer = build_conv_layer({"type": kind}, 4, 6, 3, padding=1)
    with torch.no_grad():
        layer.conv_offset.bias[0] = float("nan")
    with pytest.raises(TrainingError, match="grown beyond all bounds"):
        layer(torch.randn(1, 4, 8, 9))
