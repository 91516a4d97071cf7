from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from toolkit.model.cnn import (
    build_activation_layer,
    build_conv_layer,
    build_norm_layer,
    build_padding_layer,
    build_plugin_layer,
    build_upsample_layer,
    infer_abbr,
    is_norm,
)
from toolkit.registry import MODELS
from toolkit.utils import BuildError


@pytest.mark.parametrize(
    ("cfg", "kind"),
    [
        (None, nn.Conv2d),
        ({"type": "Conv"}, nn.Conv2d),
        ({"type": "Conv1d"}, nn.Conv1d),
        ({"type": "Conv3d"}, nn.Conv3d),
        ({"type": "Conv2d", "bias": False}, nn.Conv2d),
        ({"type": nn.Conv2d}, nn.Conv2d),
    ],
)
def test_convolutions(cfg: dict[str, object] | None, kind: type) -> None:
    layer = build_conv_layer(cfg, 3, 4, kernel_size=3)
    assert type(layer) is kind
    assert (layer.bias is None) == (cfg is not None and cfg.get("bias") is False)


def test_wrong_convolutions_are_told() -> None:
    with pytest.raises(BuildError, match="Conv9d"):
        build_conv_layer({"type": "Conv9d"}, 3, 4, 3)
    with pytest.raises(BuildError, match="'type'"):
        build_conv_layer({"kernel_size": 3}, 3, 4)


@pytest.mark.parametrize(
    ("cfg", "name", "kind"),
    [
        ({"type": "BN"}, "bn", nn.BatchNorm2d),
        ({"type": "BN1d"}, "bn", nn.BatchNorm1d),
        ({"type": "BN3d", "momentum": 0.3}, "bn", nn.BatchNorm3d),
        ({"type": "SyncBN"}, "bn", nn.SyncBatchNorm),
        ({"type": "GN", "num_groups": 2}, "gn", nn.GroupNorm),
        ({"type": "LN"}, "ln", nn.LayerNorm),
        ({"type": "IN"}, "in", nn.InstanceNorm2d),
        ({"type": "BatchNorm2d"}, "bn", nn.BatchNorm2d),
    ],
)
def test_norms(cfg: dict[str, object], name: str, kind: type) -> None:
    found, layer = build_norm_layer(cfg, 8, postfix=2)
    assert found == name + "2"
    assert isinstance(layer, kind)
    assert is_norm(layer)
    assert not is_norm(layer, exclude=kind)
    frozen = build_norm_layer({**cfg, "requires_grad": False}, 8)[1]
    assert not any(param.requires_grad for param in frozen.parameters())


def test_wrong_norms_are_told() -> None:
    with pytest.raises(BuildError, match="num_groups"):
        build_norm_layer({"type": "GN"}, 8)
    with pytest.raises(BuildError, match="BNN"):
        build_norm_layer({"type": "BNN"}, 8)
    with pytest.raises(BuildError, match="'type'"):
        build_norm_layer({}, 8)
    with pytest.raises(TypeError, match="class"):
        infer_abbr(nn.BatchNorm2d(3))  # type: ignore[arg-type]


def test_sync_norm_is_batch_norm_in_one_process() -> None:
    sync, plain = build_norm_layer({"type": "SyncBN"}, 5)[1], nn.BatchNorm2d(5)
    for layer in (sync, plain):
        torch.manual_seed(0)
        outs = [layer(torch.randn(4, 5, 3, 3) + 2) for _ in range(3)]
        layer.eval()
        outs.append(layer(torch.ones(1, 5, 2, 2)))
        layer.outs = outs
    torch.testing.assert_close(sync.outs, plain.outs)
    torch.testing.assert_close(dict(sync.state_dict()), dict(plain.state_dict()))
    average = build_norm_layer({"type": "SyncBN", "momentum": None}, 5)[1]
    mean = nn.BatchNorm2d(5, momentum=None)
    for value in (1.0, 4.0, 10.0):
        average(torch.full((2, 5, 2, 2), value))
        mean(torch.full((2, 5, 2, 2), value))
    torch.testing.assert_close(average.running_mean, mean.running_mean)


def test_activations() -> None:
    x = torch.linspace(-5, 5, 21)
    relu = build_activation_layer({"type": "ReLU"}, inplace=True)
    assert relu.inplace
    assert not build_activation_layer({"type": "ReLU", "inplace": False}, inplace=True).inplace
    torch.testing.assert_close(build_activation_layer({"type": "Swish"}, inplace=True)(x), F.silu(x))
    torch.testing.assert_close(build_activation_layer({"type": "HSwish"})(x), F.hardswish(x))
    torch.testing.assert_close(build_activation_layer({"type": "HSigmoid"})(x), F.hardsigmoid(x))
    torch.testing.assert_close(build_activation_layer({"type": "GELU"}, inplace=True)(x), F.gelu(x))
    assert build_activation_layer({"type": "Clip", "max": 2.0})(x).max() == 2


def test_padding_and_upsampling() -> None:
    x = torch.randn(1, 2, 5, 4)
    torch.testing.assert_close(build_padding_layer({"type": "reflect"}, 2)(x), F.pad(x, (2,) * 4, "reflect"))
    torch.testing.assert_close(build_padding_layer({"type": "zero"}, 1)(x), F.pad(x, (1,) * 4))
    nearest = build_upsample_layer({"type": "nearest", "scale_factor": 2})
    torch.testing.assert_close(nearest(x), F.interpolate(x, scale_factor=2))
    bilinear = build_upsample_layer({"type": "bilinear", "scale_factor": 2, "align_corners": False})
    torch.testing.assert_close(bilinear(x), F.interpolate(x, scale_factor=2, mode="bilinear"))
    deconv = build_upsample_layer(
        {"type": "deconv", "in_channels": 2, "out_channels": 3, "kernel_size": 2, "stride": 2}
    )
    assert deconv(x).shape == (1, 3, 10, 8)
    shuffle = build_upsample_layer(
        {
            "type": "pixel_shuffle",
            "in_channels": 2,
            "out_channels": 3,
            "scale_factor": 2,
            "upsample_kernel": 3,
        }
    )
    torch.testing.assert_close(shuffle(x), F.pixel_shuffle(shuffle.upsample_conv(x), 2))


def test_deformable_convolutions() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 4, 7, 7)
    layer = build_conv_layer({"type": "DCN", "deform_groups": 2}, 4, 6, 3, padding=1, bias=False)
    assert set(layer.state_dict()) == {"weight", "conv_offset.weight", "conv_offset.bias"}
    # offsets start at zero: a plain convolution
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, padding=1), atol=1e-5, rtol=1e-5)
    modulated = build_conv_layer({"type": "DCNv2"}, 4, 6, 3, padding=1)
    # and the modulation at one half
    expected = F.conv2d(x, modulated.weight / 2, modulated.bias, padding=1)
    torch.testing.assert_close(modulated(x), expected, atol=1e-5, rtol=1e-5)
    nn.init.normal_(modulated.conv_offset.weight)
    y, z, mask = modulated.conv_offset(x).chunk(3, 1)
    torch.testing.assert_close(
        modulated(x),
        torchvision.ops.deform_conv2d(
            x, torch.cat((y, z), 1), modulated.weight, modulated.bias, padding=1, mask=mask.sigmoid()
        ),
    )


def test_plugins_are_named_by_their_class() -> None:
    @MODELS.register_module("TestPluginLayer", force=True)
    class ChannelGate(nn.Module):
        def __init__(self, in_channels: int) -> None:
            super().__init__()

    name, layer = build_plugin_layer({"type": "TestPluginLayer"}, "_1", in_channels=3)
    assert name == "channel_gate_1"
    assert isinstance(layer, ChannelGate)
