from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from toolkit.detection.models.necks import ChannelMapper
from toolkit.utils import BuildError


def test_further_levels_start_from_the_last_input() -> None:
    torch.manual_seed(0)
    neck = ChannelMapper([3, 5], 4, kernel_size=1, act_cfg=None, num_outs=4)
    maps = [torch.randn(1, 3, 8, 8), torch.randn(1, 5, 4, 4)]
    outs = neck(maps)
    assert [tuple(out.shape[1:]) for out in outs] == [(4, 8, 8), (4, 4, 4), (4, 2, 2), (4, 1, 1)]
    first, second = neck.extra_convs[0].conv, neck.extra_convs[1].conv
    torch.testing.assert_close(outs[2], F.conv2d(maps[1], first.weight, first.bias, 2, 1))
    torch.testing.assert_close(outs[3], F.conv2d(outs[2], second.weight, second.bias, 2, 1))


def test_without_further_levels_there_are_no_keys_of_them() -> None:
    neck = ChannelMapper([3], 4, norm_cfg={"type": "GN", "num_groups": 2})
    assert list(neck.state_dict()) == ["convs.0.conv.weight", "convs.0.gn.weight", "convs.0.gn.bias"]
    assert bool((neck([torch.randn(1, 3, 4, 4)])[0] >= 0).all())  # a ReLU by default


def test_as_many_inputs_as_channels() -> None:
    with pytest.raises(BuildError, match="1 inputs"):
        ChannelMapper([3], 4)([torch.randn(1, 3, 4, 4)] * 2)
