"""Points, distances from them, and the small parts of point-based heads."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from toolkit.detection.models.losses import DiceLoss, dice_loss
from toolkit.detection.models.task_modules import DistancePointBBoxCoder, MlvlPointGenerator
from toolkit.detection.models.utils import bbox2distance, distance2bbox, sigmoid_geometric_mean
from toolkit.model.cnn import ConvModule, DepthwiseSeparableConvModule, Scale
from toolkit.utils import BuildError


def test_points_stand_in_the_middle_of_their_cells() -> None:
    points = MlvlPointGenerator([8, (4, 16)]).grid_priors([(2, 3), (1, 2)], device="cpu", with_stride=True)
    assert points[0].tolist()[:4] == [[4, 4, 8, 8], [12, 4, 8, 8], [20, 4, 8, 8], [4, 12, 8, 8]]
    assert points[1].tolist() == [[2, 8, 4, 16], [6, 8, 4, 16]]


def test_points_at_some_places_are_those_of_the_grid() -> None:
    generator = MlvlPointGenerator([8, 16], offset=0)
    size = (3, 5)
    whole = generator.grid_priors([size, size], device="cpu")[1]
    at = torch.tensor([0, 4, 5, 14])
    torch.testing.assert_close(generator.sparse_priors(at, size, 1, device="cpu"), whole[at])


def test_points_of_padding_are_not_valid() -> None:
    flags = MlvlPointGenerator([8]).valid_flags([(2, 3)], (8, 17), device="cpu")[0]
    assert flags.tolist() == [True, True, True, False, False, False]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-50, 50, width=32), min_size=4, max_size=4))
def test_boxes_are_what_their_distances_say(sides: list[float]) -> None:
    points, box = torch.tensor([[7.0, 3.0]]), torch.tensor([sides])
    torch.testing.assert_close(distance2bbox(points, bbox2distance(points, box)), box, atol=1e-4, rtol=0)


def test_distances_are_limited() -> None:
    points, box = torch.tensor([[10.0, 10.0]]), torch.tensor([[0.0, 12.0, 30.0, 14.0]])
    assert bbox2distance(points, box).tolist() == [[10, -2, 20, 4]]
    assert bbox2distance(points, box, max_dis=16, eps=0.5).tolist() == [[10, 0, 15.5, 4]]


def test_boxes_are_clipped_to_one_size_or_to_that_of_each_image() -> None:
    points, distance = torch.full((2, 1, 2), 5.0), torch.full((2, 1, 4), 10.0)
    assert distance2bbox(points, distance, (8, 12)).tolist() == [[[0, 0, 12, 8]]] * 2
    for shapes in ([(8, 12), (20, 9)], torch.tensor([[[8.0, 12.0]], [[20.0, 9.0]]])):
        assert distance2bbox(points, distance, shapes).tolist() == [[[0, 0, 12, 8]], [[0, 0, 9, 15]]]
    coder = DistancePointBBoxCoder(clip_border=False)
    assert coder.decode(points, distance, max_shape=(8, 12)).min() == -5


def test_dice_of_perfect_and_of_disjoint_masks() -> None:
    mask = torch.zeros(2, 4, 4)
    mask[:, :2] = 1
    other = torch.stack((mask[0], 1 - mask[1]))
    torch.testing.assert_close(
        dice_loss(mask, other, reduction="none", eps=1e-6), torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0
    )
    # 2 * 8 / (8 + 8 + eps), once with sums and once with squares
    half = torch.full((1, 4, 4), 0.5)
    assert dice_loss(half, mask[:1], naive_dice=True, eps=0.0).item() == pytest.approx(0.5)
    assert dice_loss(half, mask[:1], eps=0.0).item() == pytest.approx(1 - 8 / (4 + 8))


def test_dice_takes_logits_and_weights() -> None:
    logits, target = torch.randn(3, 5, 5), torch.rand(3, 5, 5).round()
    weight = torch.tensor([1.0, 0.0, 2.0])
    each = dice_loss(logits.sigmoid(), target, reduction="none")
    loss = DiceLoss(loss_weight=3.0)(logits, target, weight=weight, avg_factor=2)
    torch.testing.assert_close(loss, 3 * (each * weight).sum() / 2)
    with pytest.raises(BuildError, match="sigmoid"):
        DiceLoss(use_sigmoid=False)


def test_geometric_mean_of_sigmoids_has_a_gradient_where_both_vanish() -> None:
    x = torch.tensor([0.3, -60.0], requires_grad=True)
    y = torch.tensor([-1.0, -60.0])
    mean = sigmoid_geometric_mean(x, y)
    torch.testing.assert_close(mean[0], (x[0].sigmoid() * y[0].sigmoid()).sqrt())
    mean.log().sum().backward()
    torch.testing.assert_close(x.grad, (1 - x.detach().sigmoid()) / 2)


def test_scale_multiplies_by_a_parameter() -> None:
    scale = Scale(2.0)
    assert scale(torch.tensor(3.0)).item() == 6
    assert [name for name, _ in scale.named_parameters()] == ["scale"]


def test_depthwise_separable_convolution_is_two_convolutions() -> None:
    module = DepthwiseSeparableConvModule(4, 6, 3, padding=1, norm_cfg={"type": "BN"}, dw_act_cfg=None).eval()
    x = torch.randn(1, 4, 5, 5)
    deep = module.depthwise_conv.bn(F.conv2d(x, module.depthwise_conv.conv.weight, padding=1, groups=4))
    expected = module.pointwise_conv.bn(F.conv2d(deep, module.pointwise_conv.conv.weight)).relu()
    torch.testing.assert_close(module(x), expected)
    assert isinstance(module.pointwise_conv, ConvModule)
    assert isinstance(module.pointwise_conv.activate, nn.ReLU)
