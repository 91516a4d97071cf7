from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.model.cnn import ConvModule
from toolkit.utils import BuildError

X = torch.randn(2, 4, 9, 9)


def test_is_convolution_norm_activation() -> None:
    block = ConvModule(4, 6, 3, stride=2, padding=1, norm_cfg={"type": "BN"})
    assert set(block.state_dict()) == {"conv.weight"} | {
        f"bn.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    expected = F.relu(block.bn(F.conv2d(X, block.conv.weight, stride=2, padding=1)))
    block.train()
    torch.testing.assert_close(block(X), expected)


def test_parts_can_be_left_out() -> None:
    block = ConvModule(4, 6, 1)
    raw = F.conv2d(X, block.conv.weight, block.conv.bias)
    torch.testing.assert_close(block(X), raw.relu())
    torch.testing.assert_close(block(X, activate=False), raw)
    torch.testing.assert_close(ConvModule(4, 6, 1, act_cfg=None)(X).min().sign(), torch.tensor(-1.0))
    normed = ConvModule(4, 6, 1, norm_cfg={"type": "GN", "num_groups": 2}, act_cfg=None)
    assert normed.conv.bias is None
    assert isinstance(normed.norm, nn.GroupNorm)
    torch.testing.assert_close(normed(X, norm=False), F.conv2d(X, normed.conv.weight))
    assert ConvModule(4, 6, 1, norm_cfg={"type": "BN"}, bias=True).conv.bias is not None


def test_order() -> None:
    block = ConvModule(4, 6, 1, norm_cfg={"type": "BN"}, order=("norm", "act", "conv")).eval()
    assert block.norm is not None
    assert block.norm.num_features == 4
    torch.testing.assert_close(block(X), block.conv(F.relu(block.norm(X))))
    with pytest.raises(BuildError, match="permutation"):
        ConvModule(4, 6, 1, order=("conv", "act"))


@pytest.mark.parametrize(
    ("mode", "torchs"), [("reflect", "reflect"), ("circular", "circular"), ("replicate", "replicate")]
)
def test_padding_modes(mode: str, torchs: str) -> None:
    block = ConvModule(4, 6, 3, padding=1, padding_mode=mode, act_cfg=None)
    padded = F.pad(X, (1, 1, 1, 1), mode=torchs)
    torch.testing.assert_close(block(X), F.conv2d(padded, block.conv.weight, block.conv.bias))


@pytest.mark.parametrize("act", [{"type": "ReLU"}, {"type": "LeakyReLU", "negative_slope": 0.3}])
def test_initial_weights_are_kaimings(act: dict[str, Any]) -> None:
    torch.manual_seed(0)
    block = ConvModule(64, 64, 3, act_cfg=act, norm_cfg={"type": "BN"})
    slope = act.get("negative_slope", 0)
    expected = (2 / (1 + slope**2) / (64 * 9)) ** 0.5
    assert block.conv.weight.std().item() == pytest.approx(expected, rel=0.03)
    assert block.bn.weight.eq(1).all()


def test_spectral_norm() -> None:
    block = ConvModule(4, 6, 3, with_spectral_norm=True, act_cfg=None)
    for _ in range(20):
        block(X)
    top = torch.linalg.matrix_norm(block.conv.weight.flatten(1), ord=2)
    assert top.item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("order", [("conv", "norm", "act"), ("act", "conv", "norm"), ("norm", "conv", "act")])
def test_a_norm_in_eval_mode_is_taken_into_the_convolution(order: tuple[str, ...]) -> None:
    options: dict[str, Any] = {"norm_cfg": {"type": "BN"}, "padding": 1, "order": order}
    plain, folded = (
        ConvModule(4, 4, 3, **options),
        ConvModule(4, 4, 3, efficient_conv_bn_eval=True, **options),
    )
    for tensor in (plain.norm.running_mean, plain.norm.weight.data, plain.norm.bias.data):
        tensor.normal_()
    folded.load_state_dict(plain.state_dict())
    calls: list[str] = []
    folded.norm.register_forward_hook(lambda *_: calls.append("norm"))
    for training, times in ((True, 1), (False, order[0] == "norm")):
        calls.clear()
        plain.train(training)
        folded.train(training)
        torch.testing.assert_close(folded(X), plain(X))
        assert len(calls) == times
        torch.testing.assert_close(folded(X, norm=False), plain(X, norm=False))
