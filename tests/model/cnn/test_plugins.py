from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.model.cnn import (
    AdaptivePadding,
    ContextBlock,
    ConvAWS2d,
    ConvWS2d,
    DropBlock,
    GeneralizedAttention,
    NonLocal2d,
    SAConv2d,
    build_conv_layer,
    build_norm_layer,
    build_upsample_layer,
    carafe,
)
from toolkit.model.cnn.squeeze import DyReLU, SELayer
from toolkit.utils import BuildError


def x(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_weight_standardisation() -> None:
    conv = ConvWS2d(4, 6, 3, padding=1, groups=2).double()
    flat = conv.weight.flatten(1)
    weight = (flat - flat.mean(1, keepdim=True)) / (flat.std(1, keepdim=True) + 1e-5)
    expected = F.conv2d(x(2, 4, 5, 5), weight.view_as(conv.weight), conv.bias, padding=1, groups=2)
    torch.testing.assert_close(conv(x(2, 4, 5, 5)), expected)
    (grad,) = torch.autograd.grad(conv(x(2, 4, 5, 5)).square().sum(), conv.weight)
    # what moves a kernel's mean moves nothing
    torch.testing.assert_close(grad.sum((1, 2, 3)), torch.zeros(6, dtype=torch.float64), atol=1e-8, rtol=0)


def test_adaptive_standardisation_starts_as_the_pretrained_convolution() -> None:
    plain = nn.Conv2d(3, 4, 3).double()
    conv = ConvAWS2d(3, 4, 3).double()
    conv.load_state_dict(plain.state_dict())
    torch.testing.assert_close(conv(x(1, 3, 6, 6)), plain(x(1, 3, 6, 6)))
    again = ConvAWS2d(3, 4, 3).double()
    again.load_state_dict(conv.state_dict())
    torch.testing.assert_close(dict(again.state_dict()), dict(conv.state_dict()))
    with pytest.raises(RuntimeError, match="bias"):
        again.load_state_dict({"weight": plain.weight})


@pytest.mark.parametrize("deform", [False, True])
def test_switchable_convolution_starts_as_the_one_of_smaller_dilation(deform: bool) -> None:
    plain = nn.Conv2d(4, 6, 3, padding=1, stride=2, bias=False)
    conv = SAConv2d(4, 6, 3, padding=1, stride=2, bias=False, use_deform=deform)
    conv.load_state_dict(plain.state_dict(), strict=False)
    image = x(2, 4, 8, 9).float()
    torch.testing.assert_close(conv(image), plain(image), rtol=1e-4, atol=1e-5)
    nn.init.constant_(conv.switch.bias, 0.0)
    conv.load_state_dict(plain.state_dict(), strict=False)
    wide = F.conv2d(image, plain.weight, stride=2, padding=3, dilation=3)
    torch.testing.assert_close(conv(image), wide, rtol=1e-4, atol=1e-5)


def test_context_block_starts_as_the_identity_and_sees_the_whole_map() -> None:
    block = ContextBlock(8, ratio=0.5)
    image = x(2, 8, 4, 5).float()
    torch.testing.assert_close(block(image), image)
    nn.init.normal_(block.channel_add_conv[-1].weight)
    added = block(image) - image
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added))
    with pytest.raises(BuildError, match="pooling_type"):
        ContextBlock(8, 0.5, pooling_type="max")
    with pytest.raises(BuildError, match="fusion_types"):
        ContextBlock(8, 0.5, fusion_types=())


def test_attention_starts_as_the_identity_and_has_a_range() -> None:
    image = x(1, 256, 8, 10).float()
    block = GeneralizedAttention(256, num_heads=8, attention_type="1111")
    torch.testing.assert_close(block(image), image)
    near = GeneralizedAttention(256, spatial_range=1, num_heads=8, kv_stride=1, attention_type="1000")
    nn.init.ones_(near.gamma)
    changed = image.clone()
    changed[:, :, 7, 9] += 1
    differs = (near(changed) != near(image)).any(1)[0]
    assert differs[5:, 7:].any()
    assert not differs[:5].any()
    assert not differs[:, :7].any()
    for kwargs, said in (({"attention_type": "11"}, "four digits"), ({"spatial_range": 1}, "256")):
        with pytest.raises(BuildError, match=said):
            GeneralizedAttention(16, num_heads=4, **kwargs)


def test_attention_over_maps_that_are_not_square() -> None:
    block = GeneralizedAttention(8, num_heads=2, attention_type="0100", kv_stride=1).double()
    nn.init.ones_(block.gamma)
    wide = x(1, 8, 3, 5)
    # what is turned over comes out turned over, when the parts for rows and columns change places
    turned = GeneralizedAttention(8, num_heads=2, attention_type="0100", kv_stride=1).double()
    weights = block.state_dict()
    weights["appr_geom_fc_x.weight"], weights["appr_geom_fc_y.weight"] = (
        weights["appr_geom_fc_y.weight"],
        weights["appr_geom_fc_x.weight"],
    )
    turned.load_state_dict(weights)
    torch.testing.assert_close(turned(wide.transpose(2, 3)), block(wide).transpose(2, 3))


@pytest.mark.parametrize("mode", ["gaussian", "embedded_gaussian", "dot_product", "concatenation"])
def test_non_local_starts_as_the_identity(mode: str) -> None:
    image = x(2, 4, 4, 6).float()
    torch.testing.assert_close(NonLocal2d(4, mode=mode, sub_sample=True)(image), image)
    assert not torch.equal(NonLocal2d(4, mode=mode, zeros_init=False)(image), image)
    with pytest.raises(BuildError, match="gaussian"):
        NonLocal2d(4, mode="gausian")


def test_carafe_of_no_regions() -> None:
    assert carafe(torch.zeros(0, 4, 7, 7), torch.zeros(0, 9, 14, 14), 3, 1, 2).shape == (0, 4, 14, 14)


def test_carafe_by_hand() -> None:
    features, masks = x(1, 4, 3, 5), x(1, 2 * 9, 6, 10)
    out = carafe(features, masks, 3, 2, 2)
    padded = F.pad(features, (1, 1, 1, 1))
    for channel, row, column in ((0, 0, 0), (1, 5, 9), (2, 3, 4), (3, 1, 8)):
        patch = padded[0, channel, row // 2 : row // 2 + 3, column // 2 : column // 2 + 3]
        group = channel // 2
        weights = masks[0, group * 9 : group * 9 + 9, row, column].view(3, 3)
        torch.testing.assert_close(out[0, channel, row, column], (patch * weights).sum())
    pack = build_upsample_layer(
        {"type": "carafe", "channels": 4, "scale_factor": 2, "compressed_channels": 3}
    )
    flat = torch.ones(1, 4, 9, 9)
    torch.testing.assert_close(pack(flat)[:, :, 4:-4, 4:-4], torch.ones(1, 4, 10, 10))


def test_dropped_blocks() -> None:
    torch.manual_seed(0)
    layer = DropBlock(0.3, 3, warmup_iters=0)
    ones = torch.ones(8, 8, 20, 20)
    out = layer(ones)
    share = (out == 0).float().mean().item()
    assert 0.2 < share < 0.35
    assert out.mean().item() == pytest.approx(1, rel=1e-4)
    assert layer.eval()(ones) is ones
    slow = DropBlock(0.3, 3, warmup_iters=10**6)
    assert (slow(ones) == 0).float().mean() < 0.01
    with pytest.raises(BuildError, match="odd"):
        DropBlock(0.3, 4)


def test_adaptive_padding() -> None:
    corner, same = AdaptivePadding(16, 16), AdaptivePadding(3, 2, padding="same")
    assert corner(torch.ones(1, 1, 15, 17)).shape[2:] == (16, 32)
    assert corner(torch.ones(1, 1, 15, 17))[0, 0, -1].sum() == 0
    assert same.get_pad_shape((7, 8)) == (2, 1)
    conv = build_conv_layer({"type": "Conv2dAdaptivePadding"}, 1, 1, 3, stride=2, padding=1, bias=False)
    assert set(conv.state_dict()) == {"weight"}
    image = x(1, 1, 8, 8).float()
    expected = F.conv2d(F.pad(image, (0, 1, 0, 1)), conv.weight, stride=2)
    torch.testing.assert_close(conv(image), expected)
    with pytest.raises(BuildError, match="valid"):
        AdaptivePadding(padding="valid")


def test_squeezing_layers() -> None:
    image = x(2, 16, 3, 3).float()
    layer = SELayer(16, ratio=4)
    torch.testing.assert_close(layer(image) / image, (layer(image) / image)[:, :, :1, :1].expand_as(image))
    dynamic = DyReLU(16)
    for param in dynamic.parameters():
        nn.init.zeros_(param)
    torch.testing.assert_close(dynamic(image), F.relu(image))  # how it is meant to start
    with pytest.raises(BuildError, match="two"):
        SELayer(16, act_cfg=({"type": "ReLU"},))


def test_older_names_and_other_norms() -> None:
    old = build_conv_layer({"type": "DCN", "deformable_groups": 2}, 4, 6, 3, padding=1)
    assert old.conv_offset.out_channels == 2 * 2 * 9
    name, norm = build_norm_layer({"type": "LN2d", "eps": 1e-6}, 5, postfix=1)
    assert name == "ln1"
    image = x(2, 5, 3, 4).float()
    torch.testing.assert_close(norm(image).mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        norm(image.permute(0, 2, 3, 1), data_format="channel_last").permute(0, 3, 1, 2), norm(image)
    )
    name, norm = build_norm_layer({"type": "MMSyncBN", "stats_mode": "N"}, 5)
    assert name == "bn"
    assert norm.process_group is None
    with pytest.raises(BuildError, match="stats_mode"):
        build_norm_layer({"type": "MMSyncBN", "stats_mode": "M"}, 5)
