"""The losses of boxes by how they overlap."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.ops import (
    box_iou,
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

from toolkit.detection.registry import MODELS
from toolkit.utils import BuildError

KINDS = ["IoULoss", "BoundedIoULoss", "GIoULoss", "DIoULoss", "CIoULoss", "EIoULoss", "SIoULoss"]


def loss(kind: str, **kwargs: Any) -> Any:
    return MODELS.build({"type": kind, **kwargs})


def pairs(num: int = 40) -> tuple[Tensor, Tensor]:
    """Boxes that overlap a lot, a little, and not at all."""
    torch.manual_seed(0)
    low = torch.rand(num, 2) * 40
    pred = torch.cat((low, low + 2 + torch.rand(num, 2) * 30), dim=1)
    shift = torch.randn(num, 4) * torch.linspace(0, 12, num)[:, None]
    target = pred + shift
    target[:, 2:] = torch.maximum(target[:, 2:], target[:, :2] + 1)
    return pred, target


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_that_is_right_costs_nothing_and_a_worse_one_more(kind: str) -> None:
    box = torch.tensor([[10.0, 20, 30, 50]])
    costs = [loss(kind)(box + shift, box).item() for shift in (0, 1, 4, 12)]
    assert costs[0] == pytest.approx(0, abs=2e-3)
    assert costs == sorted(costs)


def test_against_torchvision() -> None:
    pred, target = pairs()
    for kind, reference in (
        ("GIoULoss", generalized_box_iou_loss),
        ("DIoULoss", distance_box_iou_loss),
    ):
        torch.testing.assert_close(loss(kind)(pred, target), reference(pred, target, reduction="mean"))
    # Zheng et al. weigh the aspect ratio only from an overlap of a half on; torchvision always does.
    close = box_iou(pred, target).diagonal() > 0.5
    expected = complete_box_iou_loss(pred[close], target[close], reduction="mean")
    torch.testing.assert_close(loss("CIoULoss")(pred[close], target[close]), expected)
    ious = box_iou(pred, target).diagonal().clamp(min=1e-6)
    for mode, cost in (("log", -ious.log()), ("linear", 1 - ious), ("square", 1 - ious**2)):
        torch.testing.assert_close(loss("IoULoss", mode=mode)(pred, target), cost.mean())
    torch.testing.assert_close(loss("IoULoss", linear=True)(pred, target), (1 - ious).mean())


def test_extended_iou_is_smooth_and_counts_gaps() -> None:
    pred, target = pairs()
    cost = 1 - box_iou(pred, target).diagonal()
    meet = cost < 1
    smooth = torch.where(cost < 0.1, 0.5 * cost**2 / 0.1, cost - 0.05)
    torch.testing.assert_close(
        loss("EIoULoss", reduction="none")(pred, target)[meet], smooth[meet], rtol=1e-4, atol=1e-5
    )
    box = torch.tensor([[0.0, 0, 10, 10]])
    near, far = (loss("EIoULoss")(box + torch.tensor([x, 0.0, x, 0]), box) for x in (12.0, 20.0))
    assert 0.95 < near < far


def test_bounds_by_hand() -> None:
    pred, target = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[2.0, 0, 12, 20]])
    x = 1 - (10 - 2 * 2) / (10 + 2 * 2 + 1e-3)
    y = 1 - max(20 - 2 * 5, 0) / (20 + 2 * 5 + 1e-3)
    w, h = 1 - 10 / (10 + 1e-3), 1 - 10 / (20 + 1e-3)
    expected = [0.5 * one**2 / 0.2 if one < 0.2 else one - 0.1 for one in (x, y, w, h)]
    costs = loss("BoundedIoULoss", reduction="none")(pred, target)
    assert costs[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_angle_distance_and_shape_by_hand() -> None:
    pred, target = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[3.0, 4, 13, 14]])
    angle = math.cos(math.asin(3 / 5) * 2 - math.pi / 2)
    distance = 2 - math.exp((2 - angle) * (3 / 13) ** 2) - math.exp((2 - angle) * (4 / 14) ** 2)
    iou = 7 * 6 / (200 - 42)
    assert loss("SIoULoss")(pred, target).item() == pytest.approx(1 - (iou - distance / 2), rel=1e-4)
    as_in_the_paper = 2 - math.exp((angle - 2) * (3 / 13) ** 2) - math.exp((angle - 2) * (4 / 14) ** 2)
    found = loss("SIoULoss", neg_gamma=True)(pred, target).item()
    assert found == pytest.approx(1 - (iou - as_in_the_paper / 2), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_reductions(kind: str) -> None:
    pred, target = pairs(6)
    each = loss(kind, reduction="none")(pred, target)
    weight = torch.arange(6.0)
    wide = weight[:, None].expand(6, 4)
    weighted = loss(kind, loss_weight=2.0)(pred, target, wide, avg_factor=4)
    rows = wide if each.dim() == 2 else weight
    torch.testing.assert_close(weighted, 2 * (each * rows).sum() / 4)
    torch.testing.assert_close(loss(kind)(pred, target, reduction_override="sum"), each.sum())
    assert loss(kind)(pred[:0], target[:0], wide[:0]).item() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_along_the_gradient_is_an_improvement(kind: str) -> None:
    pred, target = pairs(8)
    pred = pred[1:].requires_grad_()
    cost = loss(kind, reduction="none")(pred, target[1:])
    cost.sum().backward()
    assert pred.grad is not None
    assert pred.grad.isfinite().all()
    better = loss(kind, reduction="none")(pred.detach() - 1e-2 * pred.grad, target[1:])
    assert better.sum() < cost.sum()


def test_half_precision_is_computed_in_full() -> None:
    pred, target = pairs(6)
    half = loss("GIoULoss", reduction="none")((pred * 20).half(), (target * 20).half())
    assert half.dtype == torch.float16
    full = loss("GIoULoss", reduction="none")(pred * 20, target * 20)
    torch.testing.assert_close(half.float(), full, rtol=0, atol=2e-2)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(BuildError, match="'cubic'"):
        loss("IoULoss", mode="cubic")
