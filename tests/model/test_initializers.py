"""Initialisers and the functions behind them: distributions, layers, overrides."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit import model as tk
from toolkit.registry import WEIGHT_INITIALIZERS
from toolkit.utils import ConfigError


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(64, 128, 3), nn.Linear(400, 300), nn.BatchNorm2d(4))


@pytest.mark.parametrize(
    ("cfg", "function"),
    [
        ({"type": "Xavier", "gain": 2.0}, lambda w: nn.init.xavier_normal_(w, 2.0)),
        ({"type": "Xavier", "distribution": "uniform"}, nn.init.xavier_uniform_),
        ({"type": "Normal", "mean": 1.0, "std": 0.1}, lambda w: nn.init.normal_(w, 1.0, 0.1)),
        ({"type": "Uniform", "a": -1, "b": 3}, lambda w: nn.init.uniform_(w, -1, 3)),
        ({"type": "TruncNormal", "std": 0.02}, lambda w: nn.init.trunc_normal_(w, 0, 0.02, -2, 2)),
        ({"type": "Kaiming"}, lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu")),
        (
            {
                "type": "Kaiming",
                "a": 1,
                "mode": "fan_in",
                "nonlinearity": "leaky_relu",
                "distribution": "uniform",
            },
            lambda w: nn.init.kaiming_uniform_(w, a=1),
        ),
        ({"type": "Caffe2Xavier"}, lambda w: nn.init.uniform_(w, -((3 / 400) ** 0.5), (3 / 400) ** 0.5)),
    ],
)
def test_equals_torch_with_the_same_seed(cfg: dict, function: object) -> None:
    first, second = nn.Linear(400, 300), nn.Linear(400, 300)
    torch.manual_seed(3)
    tk.initialize(first, {**cfg, "layer": "Linear", "bias": 0.5})
    torch.manual_seed(3)
    function(second.weight)
    assert torch.allclose(first.weight, second.weight, rtol=1e-5, atol=1e-7)
    assert (first.bias == 0.5).all()


def test_only_the_named_layers_change() -> None:
    module = net()
    before = [param.clone() for param in module.parameters()]
    tk.initialize(module, [{"type": "Constant", "val": 2.0, "layer": ["Linear"]}])
    conv_weight, conv_bias, weight, bias, *norm = module.parameters()
    assert (weight == 2).all()
    assert (bias == 0).all()
    for now, then in zip((conv_weight, conv_bias, *norm), (*before[:2], *before[4:]), strict=True):
        assert torch.equal(now, then)


def test_a_direct_base_class_fits_too() -> None:
    module = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm1d(2), nn.GroupNorm(1, 2))
    tk.initialize(module, {"type": "Constant", "val": 3, "layer": "_BatchNorm"})
    assert [part.weight[0].item() for part in module] == [3, 3, 1]


def test_override() -> None:
    module = nn.Module()
    module.feat, module.reg, module.cls = (nn.Conv2d(1, 1, 1) for _ in range(3))
    cfg = {
        "type": "Constant",
        "val": 1,
        "bias": 2,
        "layer": "Conv2d",
        "override": [{"type": "Constant", "name": "reg", "val": 3, "bias": 4}, {"name": "cls"}],
    }
    tk.initialize(module, cfg)
    assert [(part.weight.item(), part.bias.item()) for part in module.children()] == [(1, 2), (3, 4), (1, 2)]


def test_an_override_alone_leaves_the_rest() -> None:
    module = nn.Module()
    module.feat, module.cls = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
    feat = module.feat.weight.clone()
    tk.initialize(module, {"type": "Constant", "val": 5, "bias_prob": 0.01, "override": {"name": "cls"}})
    assert torch.equal(module.feat.weight, feat)
    assert torch.sigmoid(module.cls.bias).item() == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("override", "match"),
    [
        ({"type": "Constant", "val": 1}, "with a 'name'"),
        ({"name": "cls", "val": 1}, "no 'type'"),
        ({"name": "clss", "type": "Constant", "val": 1}, "did you mean 'cls'"),
    ],
)
def test_wrong_overrides_are_named(override: dict, match: str) -> None:
    module = nn.Module()
    module.cls = nn.Linear(1, 1)
    with pytest.raises(ConfigError, match=match):
        tk.initialize(module, {"type": "Constant", "val": 1, "layer": "Linear", "override": override})


@pytest.mark.parametrize(
    ("cfg", "match"),
    [
        ({"type": "Constant", "val": 1, "bias": "0"}, "must be a number"),
        ({"type": "Constant", "val": 1, "bias_prob": 1}, "between 0 and 1"),
    ],
)
def test_wrong_arguments_are_named(cfg: dict, match: str) -> None:
    with pytest.raises((ConfigError, TypeError), match=match):
        WEIGHT_INITIALIZERS.build(cfg)


def test_an_unknown_distribution_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'uniform'"):
        tk.kaiming_init(nn.Linear(1, 1), distribution="unifrom")


def test_bias_init_with_prob() -> None:
    assert tk.bias_init_with_prob(0.01) == pytest.approx(math.log(0.01 / 0.99))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 2), (8, 4)])
def test_bilinear_upsampling(kernel: int, stride: int) -> None:
    """Inside the borders a transposed convolution equals torch's bilinear interpolation."""
    deconv = nn.ConvTranspose2d(1, 1, kernel, stride, bias=False)
    tk.bilinear_init(deconv)
    ramp = torch.arange(36.0).view(1, 1, 6, 6)
    output = deconv(ramp)
    if kernel % 2 == 0:
        margin = kernel // 2 - stride // 2
        output = output[..., margin : output.shape[-2] - margin, margin : output.shape[-1] - margin]
        expected = F.interpolate(ramp, scale_factor=stride, mode="bilinear", align_corners=False)
        inner = slice(stride, -stride)
        assert torch.allclose(output[..., inner, inner], expected[..., inner, inner], atol=1e-5)
    else:
        # An odd kernel keeps the pixels and puts means between them.
        assert torch.allclose(output[..., 1:-1:2, 1:-1:2], ramp)
        assert torch.allclose(output[..., 1:-1:2, 2:-1:2], (ramp[..., 1:] + ramp[..., :-1]) / 2)


def test_bilinear_needs_a_convolution() -> None:
    with pytest.raises(ConfigError, match="4-dimensional"):
        tk.bilinear_init(nn.Linear(2, 2))


def test_modules_without_weight_or_bias_are_passed_over() -> None:
    for function in (
        tk.normal_init,
        tk.uniform_init,
        tk.xavier_init,
        tk.trunc_normal_init,
        tk.caffe2_xavier_init,
    ):
        function(nn.ReLU())
        function(nn.Linear(2, 2, bias=False))
    tk.constant_init(nn.LayerNorm(2, elementwise_affine=False), 1)
