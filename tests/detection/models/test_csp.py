"""Cross stage partial layers, and the backbones and necks that are made of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.detection.models.backbones import CSPDarknet, CSPNeXt
from toolkit.detection.models.backbones.csp import Focus, SPPBottleneck
from toolkit.detection.models.layers.csp_layer import ChannelAttention, CSPLayer, DarknetBottleneck
from toolkit.detection.models.necks import YOLOXPAFPN, CSPNeXtPAFPN
from toolkit.model.cnn import DepthwiseSeparableConvModule
from toolkit.utils import BuildError


def test_focus_puts_the_pixels_of_a_square_into_channels() -> None:
    focus = Focus(2, 3).eval()
    x = torch.arange(16.0).reshape(1, 2, 2, 4)
    seen: list[torch.Tensor] = []
    focus.conv.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert focus(x).shape == (1, 3, 1, 2)
    # of both channels: top left, bottom left, top right, bottom right
    assert seen[0][0, :, 0, 0].tolist() == [0, 8, 4, 12, 1, 9, 5, 13]


def test_growing_maxima_are_those_of_the_whole_squares() -> None:
    spp = SPPBottleneck(8, 6).eval()
    x = torch.randn(1, 8, 11, 17)
    mid = spp.conv1(x)
    pooled = [mid] + [F.max_pool2d(mid, size, stride=1, padding=size // 2) for size in (5, 9, 13)]
    torch.testing.assert_close(spp(x), spp.conv2(torch.cat(pooled, dim=1)))
    with pytest.raises(BuildError, match="odd and grow"):
        SPPBottleneck(8, 8, kernel_sizes=(9, 5))


def test_channel_attention_weights_channels() -> None:
    attention = ChannelAttention(4)
    x = torch.randn(2, 4, 3, 5)
    weight = F.hardsigmoid(x.mean((2, 3)) @ attention.fc.weight[:, :, 0, 0].T + attention.fc.bias)
    torch.testing.assert_close(attention(x), x * weight[:, :, None, None])


@pytest.mark.parametrize("next_blocks", [False, True])
def test_half_of_the_channels_pass_the_blocks(next_blocks: bool) -> None:
    layer = CSPLayer(6, 8, num_blocks=2, use_cspnext_block=next_blocks, channel_attention=True).eval()
    x = torch.randn(1, 6, 7, 7)
    main = layer.main_conv(x)
    for block in layer.blocks:
        main = main + block.conv2(block.conv1(main))
    both = torch.cat((main, layer.short_conv(x)), dim=1)
    torch.testing.assert_close(layer(x), layer.final_conv(layer.attention(both)))


def test_shortcuts_need_equal_channels() -> None:
    assert DarknetBottleneck(4, 4).add_identity
    assert not DarknetBottleneck(4, 6).add_identity


@pytest.mark.parametrize("kind", [CSPDarknet, CSPNeXt])
@pytest.mark.parametrize(("arch", "channels"), [("P5", [16, 32, 64]), ("P6", [16, 32, 48, 64])])
def test_backbones_halve_the_size_each_stage(kind: Any, arch: str, channels: list[int]) -> None:
    indices = range(2, 2 + len(channels))
    model = kind(arch, deepen_factor=0.1, widen_factor=0.0625, out_indices=indices).eval()
    outs = model(torch.randn(1, 3, 128, 64))
    assert [tuple(out.shape[1:]) for out in outs] == [
        (count, 128 >> level, 64 >> level) for count, level in zip(channels, range(3, 7), strict=False)
    ]


def test_frozen_stages_neither_train_nor_normalise() -> None:
    model = CSPDarknet(deepen_factor=0.1, widen_factor=0.0625, frozen_stages=1, norm_eval=False)
    assert model.train() is model
    assert not any(p.requires_grad for part in (model.stem, model.stage1) for p in part.parameters())
    assert all(p.requires_grad for p in model.stage2.parameters())
    assert not model.stem.conv.bn.training
    assert model.stage2[0].bn.training
    frozen = CSPDarknet(deepen_factor=0.1, widen_factor=0.0625, norm_eval=True).train()
    assert not frozen.stage2[0].bn.training


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arch": "P4"}, "arch of CSPNeXt must be one of"),
        ({"out_indices": (2, 5)}, "out_indices .* from 0 to 4"),
        ({"frozen_stages": 7}, "frozen_stages .* from -1 to 4"),
    ],
)
def test_arguments_out_of_range(change: dict[str, Any], message: str) -> None:
    with pytest.raises(BuildError, match=message):
        CSPNeXt(**change)


@pytest.mark.parametrize(("kind", "kernel"), [(YOLOXPAFPN, 1), (CSPNeXtPAFPN, 3)])
def test_necks_go_down_and_up(kind: Any, kernel: int) -> None:
    neck = kind([4, 6, 8], 5, num_csp_blocks=1).eval()
    maps = [torch.randn(1, c, 16 >> i, 24 >> i) for i, c in enumerate((4, 6, 8))]
    r5 = neck.reduce_layers[0](maps[2])
    p4 = neck.top_down_blocks[0](torch.cat((F.interpolate(r5, scale_factor=2), maps[1]), 1))
    r4 = neck.reduce_layers[1](p4)
    p3 = neck.top_down_blocks[1](torch.cat((F.interpolate(r4, scale_factor=2), maps[0]), 1))
    n4 = neck.bottom_up_blocks[0](torch.cat((neck.downsamples[0](p3), r4), 1))
    n5 = neck.bottom_up_blocks[1](torch.cat((neck.downsamples[1](n4), r5), 1))
    outs = neck(maps)
    for conv, x, out in zip(neck.out_convs, (p3, n4, n5), outs, strict=True):
        torch.testing.assert_close(out, conv(x))
        assert conv.conv.kernel_size == (kernel, kernel)
        assert out.size(1) == 5
    with pytest.raises(BuildError, match="3 inputs"):
        neck(maps[:2])


def test_depthwise_necks_keep_the_1x1_convolutions() -> None:
    neck = YOLOXPAFPN([4, 6], 5, use_depthwise=True)
    assert isinstance(neck.downsamples[0], DepthwiseSeparableConvModule)
    assert isinstance(neck.bottom_up_blocks[0].blocks[0].conv2, DepthwiseSeparableConvModule)
    assert isinstance(neck.out_convs[0].conv, nn.Conv2d)
