from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from toolkit.detection.models.necks import FPN
from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

CHANNELS = [4, 6, 8]


def maps() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(1, c, 33 // 2**i, 20 // 2**i) for i, c in enumerate(CHANNELS)]


def test_equals_torchvisions_pyramid() -> None:
    ours = FPN(CHANNELS, 5, num_outs=4)
    theirs = FeaturePyramidNetwork(CHANNELS, 5, extra_blocks=LastLevelMaxPool())
    for i in range(3):
        theirs.inner_blocks[i][0].load_state_dict(ours.lateral_convs[i].conv.state_dict())
        theirs.layer_blocks[i][0].load_state_dict(ours.fpn_convs[i].conv.state_dict())
    expected = theirs({str(i): x for i, x in enumerate(maps())}).values()
    for mine, other in zip(ours(maps()), expected, strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("source", ["on_input", "on_lateral", "on_output"])
def test_extra_levels(source: str) -> None:
    neck = FPN(CHANNELS, 5, num_outs=4, start_level=1, add_extra_convs=source, relu_before_extra_convs=True)
    outs = neck(maps())
    assert len(outs) == 4
    first = {"on_input": maps()[2], "on_lateral": neck.lateral_convs[1](maps()[2]), "on_output": outs[1]}[
        source
    ]
    torch.testing.assert_close(outs[2], neck.fpn_convs[2](first))
    torch.testing.assert_close(outs[3], neck.fpn_convs[3](F.relu(outs[2])))
    assert FPN(CHANNELS, 5, num_outs=4, add_extra_convs=True).add_extra_convs == "on_input"


def test_end_level_norms_and_initial_weights() -> None:
    neck = FPN(CHANNELS, 5, 2, end_level=1, norm_cfg={"type": "BN"}, no_norm_on_lateral=True)
    assert len(neck(maps())) == 2
    assert "lateral_convs.0.bn.weight" not in neck.state_dict()
    assert "fpn_convs.0.bn.weight" in neck.state_dict()
    wide = FPN([64], 64, 1)
    wide.init_weights()
    weight = wide.fpn_convs[0].conv.weight
    assert weight.abs().max().item() == pytest.approx((6 / (128 * 9)) ** 0.5, rel=0.02)
    up = FPN(CHANNELS, 5, 3, upsample_cfg={"scale_factor": 2, "mode": "bilinear"})
    assert len(up([torch.randn(1, c, 32 // 2**i, 32 // 2**i) for i, c in enumerate(CHANNELS)])) == 3


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"num_outs": 2}, "num_outs 2"),
        ({"num_outs": 3, "end_level": 1}, "end_level 1"),
        ({"num_outs": 4, "add_extra_convs": "on_top"}, "on_top"),
    ],
)
def test_wrong_levels_are_told(kwargs: dict[str, Any], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        FPN(CHANNELS, 5, **kwargs)


def test_another_number_of_inputs_is_told() -> None:
    with pytest.raises(BuildError, match="3 inputs"):
        FPN(CHANNELS, 5, 3)(maps()[:2])


def test_path_aggregation_by_hand() -> None:
    torch.manual_seed(0)
    sizes = {"in_channels": [4, 6, 8], "out_channels": 5, "num_outs": 4}
    neck = MODELS.build({"type": "PAFPN", **sizes})
    plain = MODELS.build({"type": "FPN", **sizes})
    plain.load_state_dict({k: v for k, v in neck.state_dict().items() if k in plain.state_dict()})
    x = [torch.randn(1, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate(sizes["in_channels"])]
    p2, p3, p4, _ = plain(x)
    n3 = p3 + neck.downsample_convs[0](p2)
    n4 = p4 + neck.downsample_convs[1](n3)
    outs = neck(x)
    expected = [p2, neck.pafpn_convs[0](n3), neck.pafpn_convs[1](n4)]
    for out, one in zip(outs, [*expected, expected[-1][:, :, ::2, ::2]], strict=True):
        torch.testing.assert_close(out, one)
