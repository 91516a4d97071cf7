"""What the recorded figures of the necks don't say: starting weights, recursion, errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from toolkit.detection.models.necks import FPN, RFP, CTResNetNeck, DyHead, FPN_DropBlock
from toolkit.detection.models.necks.dyhead import DyDCNv2
from toolkit.detection.registry import MODELS
from toolkit.model.cnn import build_conv_layer
from toolkit.utils import BuildError, ConfigError

CHANNELS = [4, 6, 8]
RECURSIVE: dict[str, Any] = {"type": "DetectoRS_ResNet", "depth": 50, "base_channels": 4, "stem_channels": 4}

PYRAMID = {"in_channels": CHANNELS, "out_channels": 4, "num_outs": 3}
DECONV = {"type": "CTResNetNeck", "in_channels": 4, "num_deconv_filters": [2]}
TRIDENT = {"type": "TridentResNet", "depth": 50, "num_branch": 3, "test_branch_idx": 1}


def maps(channels: list[int] = CHANNELS, size: int = 16) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(1, c, size // 2**i, size // 2**i) for i, c in enumerate(channels)]


def test_pyramid_that_drops_blocks_is_a_pyramid_in_evaluation() -> None:
    dropping = FPN_DropBlock(CHANNELS, 5, num_outs=4).eval()
    plain = FPN(CHANNELS, 5, num_outs=4).eval()
    plain.load_state_dict(dropping.state_dict())
    torch.testing.assert_close(dropping(maps()), plain(maps()))
    dropping.train()
    assert not torch.equal(dropping(maps())[0], plain(maps())[0])
    assert FPN_DropBlock(CHANNELS, 5, num_outs=3, plugin=None).plugin is None


def test_recursion_starts_half_way_between_the_two_passes() -> None:
    torch.manual_seed(0)
    backbone = {**RECURSIVE, "rfp_inplanes": 12}
    neck = RFP(2, backbone, 3, in_channels=[16, 32, 64, 128], out_channels=8, num_outs=5)
    neck.init_weights()
    assert not neck.rfp_modules[0].layer2[0].rfp_conv.weight.any()
    image = torch.randn(1, 3, 96, 96)
    inputs = [image, *maps([16, 32, 64, 128], size=24)]
    neck.eval()
    first = FPN.forward(neck, inputs[1:])
    second = FPN.forward(neck, neck.rfp_modules[0](image))  # zero weights: nothing comes back at first
    for out, one, other in zip(neck(inputs), first, second, strict=True):
        torch.testing.assert_close(out, (one + other) / 2)
    with pytest.raises(BuildError, match="beside the image"):
        neck(inputs[1:])


def test_backbones_that_give_the_image() -> None:
    image = torch.randn(1, 3, 64, 64)
    net = MODELS.build({**RECURSIVE, "output_img": True})
    assert net(image)[0] is image
    assert len(net(image)) == 5
    with pytest.raises(ConfigError, match="Pretrained"):
        MODELS.build({**RECURSIVE, "init_cfg": {"type": "Kaiming", "layer": "Conv2d"}})


def test_dynamic_convolution_is_a_modulated_one() -> None:
    torch.manual_seed(0)
    layer = DyDCNv2(4, 6, stride=2, norm_cfg=None)
    whole = build_conv_layer({"type": "DCNv2"}, 4, 6, 3, stride=2, padding=1)
    nn.init.normal_(whole.conv_offset.weight)
    layer.conv.load_state_dict({"weight": whole.weight, "bias": whole.bias})
    image = torch.randn(1, 4, 9, 9)
    first, second, mask = whole.conv_offset(image).chunk(3, dim=1)
    out = layer(image, torch.cat((first, second), 1), mask.sigmoid())
    torch.testing.assert_close(out, whole(image))


def test_dynamic_head() -> None:
    torch.manual_seed(0)
    head = DyHead(4, 16, num_blocks=2)
    levels = [torch.randn(2, 4, *size) for size in ((17, 12), (9, 6), (5, 3))]
    outs = head(levels)
    assert [out.shape[2:] for out in outs] == [x.shape[2:] for x in levels]
    sum(out.sum() for out in outs).backward()
    # offsets start at zero, so that the first block's depend on its bias alone, yet they learn
    assert not head.dyhead_blocks[0].spatial_conv_offset.weight.any()
    assert head.dyhead_blocks[0].spatial_conv_offset.weight.grad.any()
    # one level: the mean is over one map
    block = head.dyhead_blocks[0]
    (single,) = block(levels[:1])
    zeros, mask = torch.zeros(2, 18, 17, 12), torch.full((2, 9, 17, 12), 0.5)
    middle = block.spatial_conv_mid(levels[0], zeros, mask)
    torch.testing.assert_close(single, block.task_attn_module(middle * block.scale_attn_module(middle)))


def test_centernets_neck_starts_as_bilinear_upsampling() -> None:
    neck = CTResNetNeck(4, (3,), (4,), use_dcn=False)
    neck.init_weights()
    up = neck.deconv_layers[1].conv
    one = torch.zeros(1, 3, 5, 5)
    one[:, 1] = torch.arange(5.0)
    ramp = F.conv_transpose2d(one[:, 1:2], up.weight[1:2, :1], stride=2, padding=1)
    torch.testing.assert_close(ramp[0, 0, 4, 3:7], torch.tensor([1.25, 1.75, 2.25, 2.75]))


@pytest.mark.parametrize(
    ("cfg", "said"),
    [
        ({"type": "BFP", "in_channels": 4, "num_levels": 3, "refine_type": "nonlocal"}, "non_local"),
        ({"type": "BFP", "in_channels": 4, "num_levels": 2}, "refine_level"),
        (
            {"type": "NASFPN", "in_channels": CHANNELS, "out_channels": 4, "num_outs": 4, "stack_times": 1},
            "5",
        ),
        ({**PYRAMID, "type": "FPN_CARAFE", "num_outs": 2}, "num_outs 2"),
        ({**PYRAMID, "type": "FPN_CARAFE", "upsample_cfg": {"type": "deconv"}}, "upsample_kernel"),
        ({"type": "DyHead", "in_channels": 4, "out_channels": 16, "init_cfg": {"type": "Kaiming"}}, "itself"),
        ({"type": "SSH", "num_scales": 2, "in_channels": [4, 4], "out_channels": [4, 6]}, "multiple of 4"),
        ({"type": "YOLOV3Neck", "num_scales": 3, "in_channels": [4], "out_channels": [4]}, "3 scales"),
        (
            {"type": "CTResNetNeck", "in_channels": 4, "num_deconv_filters": [2], "num_deconv_kernels": []},
            "as many",
        ),
        (
            {
                "type": "TridentResNet",
                "depth": 50,
                "num_branch": 3,
                "test_branch_idx": 1,
                "trident_dilations": (1, 2),
            },
            "num_stages=3",
        ),
        ({"type": "HourglassNet", "downsample_times": 6}, "halves 6 times"),
        ({"type": "Darknet", "depth": 19}, "53"),
    ],
)
def test_wrong_arguments_are_told(cfg: dict[str, Any], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        MODELS.build(cfg)


def test_unknown_transitions_of_a_grid_are_told() -> None:
    cfg = {"type": "FPG", "in_channels": CHANNELS, "out_channels": 4, "num_outs": 3, "stack_times": 1}
    with pytest.raises(BuildError, match="did you mean 'conv'"):
        MODELS.build({**cfg, "paths": ["bu"], "same_up_trans": {"type": "con", "kernel_size": 3}})
    with pytest.raises(BuildError, match="'bu' and 'td'"):
        MODELS.build({**cfg, "paths": ["up"]})
