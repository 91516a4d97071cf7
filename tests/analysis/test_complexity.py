"""Counts against what torchvision publishes of its models, and against counts made by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model, get_model_weights
from torchvision.ops import DeformConv2d

from toolkit.analysis import (
    get_model_complexity_info,
    measure_complexity,
    parameter_count,
    parameter_count_table,
)
from toolkit.utils import ConfigError


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("resnet50", 224),
        ("mobilenet_v2", 224),
        ("convnext_tiny", 224),
        ("vit_b_16", 224),
        ("swin_t", 224),
        ("efficientnet_b0", 224),
    ],
)
def test_what_torchvision_publishes(name: str, size: int) -> None:
    weights = get_model_weights(name)["IMAGENET1K_V1"]
    with torch.device("meta"):
        model = get_model(name)
        found = measure_complexity(model, torch.randn(1, 3, size, size))
    assert found.params[""] == weights.meta["num_params"]
    assert found.multiply_adds[""] / 1e9 == pytest.approx(weights.meta["_ops"], abs=6e-4)


def test_resnet50() -> None:
    with torch.device("meta"):
        info = get_model_complexity_info(torchvision.models.resnet50(), (3, 224, 224))
    assert info["params"] == 25_557_032
    assert round(info["multiply_adds"] / 1e9, 2) == 4.09
    assert info["flops"] == 2 * info["multiply_adds"]
    # MMEngine 0.10.7: the outputs of convolutions and of the last layer.
    assert info["activations"] == 11_114_984
    assert (info["params_str"], info["multiply_adds_str"], info["flops_str"]) == (
        "25.56M",
        "4.089G",
        "8.178G",
    )


class Attending(nn.Module):
    """Parts called past `__call__`, a shared layer, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.conv = nn.Conv2d(3, 8, 3, padding=1, groups=1)
        self.deform = DeformConv2d(8, 8, 3, padding=1)
        self.shared = nn.Linear(8, 8)
        self.again = self.shared

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        x = self.inner.conv(x)
        x = self.deform(x, x.new_zeros(len(x), 18, *x.shape[2:]))
        tokens = self.again(self.shared(x.flatten(2).mT)) * scale
        return nn.functional.scaled_dot_product_attention(tokens[:, None], tokens[:, None], tokens[:, None])


def test_by_hand() -> None:
    model = Attending()
    found = measure_complexity(model, (torch.randn(1, 3, 4, 5),), scale=0.5)
    pixels = 20
    wanted = {
        "inner": 8 * 27 * pixels,
        "inner.conv": 8 * 27 * pixels,
        "deform": 8 * 72 * pixels,
        "shared": 2 * 64 * pixels,
        "again": 0,
    }
    wanted[""] = wanted["inner"] + wanted["deform"] + wanted["shared"] + 2 * pixels * pixels * 8
    assert found.multiply_adds == wanted
    assert found.activations["inner"] == 8 * pixels
    assert found.params[""] == 8 * 27 + 8 + 8 * 72 + 8 + 72
    assert found.params["again"] == found.params["shared"] == 72


def test_like_torchs_own_counter() -> None:
    model = Attending().eval()
    model.deform = nn.Identity()
    model.deform.forward = lambda x, offset: x
    x = torch.randn(2, 3, 4, 5)
    # As two matrix products: not every version of torch counts attention on the CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(x)
    assert measure_complexity(model, {"x": x}).flops[""] == counter.get_total_flops()


def test_fused_layers_count_too() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = measure_complexity(layer, torch.randn(1, 5, 8))
    assert found.multiply_adds[""] == 5 * 8 * 24 + 2 * 5 * 5 * 8 + 5 * 8 * 8 + 2 * 5 * 8 * 16
    assert torch.backends.mha.get_fastpath_enabled()


def test_inference_mode_inside_counts_too() -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 5)

        @torch.inference_mode()
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x)

    assert measure_complexity(Inner(), torch.randn(2, 3)).multiply_adds["linear"] == 30


def test_the_model_is_as_before() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout())
    model[1].eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    get_model_complexity_info(model, (3,))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_failing_model_is_as_before() -> None:
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(RuntimeError):
        get_model_complexity_info(model, (4,))
    assert model.training
    assert not model[0]._forward_pre_hooks


def test_texts() -> None:
    model = nn.Sequential(nn.Conv2d(3, 1000, 1, bias=False), nn.ReLU(), nn.Sequential(nn.Conv2d(1000, 1, 1)))
    info = get_model_complexity_info(model, (3, 10, 10))
    rows = [line.split() for line in info["out_table"].strip().splitlines()]
    assert rows[0] == ["module", "parameters", "multiply-adds", "FLOPs", "activations"]
    assert rows[2:] == [
        ["Sequential", "4.001K", "400K", "800K", "100.1K"],
        ["0", "3K", "300K", "600K", "100K"],
        ["2", "1.001K", "100K", "200K", "100"],
        ["0", "1.001K", "100K", "200K", "100"],
    ]
    assert (
        "(0): Conv2d(3, 1000, kernel_size=(1, 1), stride=(1, 1), bias=False)  # 3K param" in info["out_arch"]
    )
    assert info["out_arch"].count("(") == info["out_arch"].count(")")
    short = get_model_complexity_info(model, (3, 10, 10), show_table=False, show_arch=False)
    assert short["out_table"] == short["out_arch"] == ""
    assert parameter_count(model)["2.0.weight"] == 1000
    assert len(parameter_count_table(model, max_depth=1).splitlines()) == 5


def test_several_inputs() -> None:
    info = get_model_complexity_info(nn.Bilinear(3, 4, 5), ((3,), (4,)))
    assert info["params"] == 65


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "neither"),
        ({"input_shape": (3,), "inputs": torch.ones(1)}, "both"),
        ({"input_shape": (3, "4")}, "tuple of numbers"),
        ({"input_shape": ()}, "tuple of numbers"),
    ],
)
def test_bad_arguments(arguments: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        get_model_complexity_info(nn.Linear(3, 3), **arguments)
