from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss as torchvisions

from toolkit.detection.models.losses import (
    GHMC,
    GHMR,
    DistributionFocalLoss,
    FocalLoss,
    QualityFocalLoss,
    VarifocalLoss,
)
from toolkit.utils import BuildError

C = 5


def logits(rows: int = 400) -> torch.Tensor:
    torch.manual_seed(0)
    return (torch.randn(rows, C) * 4).requires_grad_()


def labels(rows: int = 400) -> torch.Tensor:
    """Classes, of which C is background; and one that is ignored by its weight only."""
    torch.manual_seed(1)
    return torch.where(torch.rand(rows) < 0.1, torch.randint(0, C, (rows,)), C)


def table(label: torch.Tensor) -> torch.Tensor:
    return F.one_hot(label, C + 1)[:, :C].float()


@pytest.mark.parametrize("gamma", [2.0, 1.5])
@pytest.mark.parametrize("weighted", [True, False])
def test_focal_loss_is_torchvisions(gamma: float, weighted: bool) -> None:
    x, weight = logits(), torch.rand(400) if weighted else None
    each = torchvisions(x, table(labels()), alpha=0.25, gamma=gamma)
    expected = (each * (1 if weight is None else weight[:, None])).sum() / 7 * 3
    (wanted,) = torch.autograd.grad(expected, x)
    loss = FocalLoss(gamma=gamma, loss_weight=3.0)(x, labels(), weight, avg_factor=7)
    (found,) = torch.autograd.grad(loss, x)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


def test_focal_loss_in_all_forms() -> None:
    x, loss = logits(), FocalLoss()
    each = torchvisions(x, table(labels()))
    torch.testing.assert_close(loss(x, labels()), each.mean())
    torch.testing.assert_close(loss(x, labels(), reduction_override="sum"), each.sum())
    torch.testing.assert_close(loss(x, labels(), reduction_override="none"), each)
    torch.testing.assert_close(loss(x, table(labels()), avg_factor=3), each.sum() / 3)
    activated = FocalLoss(activated=True)(x.sigmoid(), labels(), avg_factor=3)
    torch.testing.assert_close(activated, each.sum() / 3, rtol=1e-3, atol=1e-3)
    weight = torch.rand(400, C)
    torch.testing.assert_close(loss(x, labels(), weight), (each * weight).mean())
    with pytest.raises(BuildError, match="use_sigmoid=True"):
        FocalLoss(use_sigmoid=False)


def test_many_rows_and_half_precision() -> None:
    # more than the rows that a CPU takes at once
    x, label = logits(30000), labels(30000)
    each = torchvisions(x, table(label))
    torch.testing.assert_close(FocalLoss()(x, label, avg_factor=1), each.sum(), rtol=1e-5, atol=0)
    half = x.detach().half().requires_grad_()
    loss = FocalLoss()(half, label, avg_factor=1)
    loss.backward()
    assert loss.dtype == torch.float32
    assert half.grad is not None
    assert half.grad.dtype == torch.float16
    torch.testing.assert_close(loss, each.sum(), rtol=1e-3, atol=0)


def test_focal_loss_of_extreme_logits_and_of_nothing() -> None:
    x = torch.tensor([[-200.0, 200.0], [200.0, -200.0]], requires_grad=True)
    loss = FocalLoss()(x, torch.tensor([0, 0]), avg_factor=1)
    loss.backward()
    assert loss.item() == pytest.approx(0.25 * 200 + 0.75 * 200, rel=1e-5)
    assert x.grad is not None
    assert x.grad.isfinite().all()
    none = torch.zeros(0, C, requires_grad=True)
    empty = FocalLoss()(none, torch.zeros(0, dtype=torch.long), avg_factor=1)
    empty.backward()
    assert empty.item() == 0


def quality_by_the_rule(x: torch.Tensor, label: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Of each row, |y - p|² times the cross entropy with y, added up over the classes."""
    goal = table(label) * score[:, None]
    gap = (goal - x.sigmoid()).abs()
    return (gap**2 * F.binary_cross_entropy_with_logits(x, goal, reduction="none")).sum(1)


def test_quality_focal_loss() -> None:
    x, label, score, weight = logits(), labels(), torch.rand(400), torch.rand(400)
    rows = quality_by_the_rule(x, label, score)
    loss = QualityFocalLoss(loss_weight=2.0)
    torch.testing.assert_close(loss(x, (label, score), reduction_override="none"), 2 * rows)
    found = loss(x, (label, score), weight, avg_factor=9)
    torch.testing.assert_close(found, 2 * (rows * weight).sum() / 9)
    goal = table(label) * score[:, None]
    torch.testing.assert_close(loss(x, goal, weight, avg_factor=9), found)
    wanted = torch.autograd.grad(2 * (rows * weight).sum() / 9, x)[0]
    torch.testing.assert_close(torch.autograd.grad(found, x)[0], wanted, atol=1e-6, rtol=1e-4)
    calm = x.detach() / 4  # far from where a probability of single precision is 1
    sure = QualityFocalLoss(activated=True)(calm.sigmoid(), (label, score), reduction_override="none")
    torch.testing.assert_close(sure, quality_by_the_rule(calm, label, score), rtol=1e-4, atol=1e-5)


def test_distribution_focal_loss() -> None:
    torch.manual_seed(0)
    x, goal = torch.randn(6, 17), torch.tensor([0.0, 3.25, 15.9, 7.5, 1.0, 12.75])
    expected = []
    for row, distance in zip(x.log_softmax(1), goal.tolist(), strict=True):
        low = int(distance)
        expected.append(-(row[low] * (low + 1 - distance) + row[low + 1] * (distance - low)))
    loss = DistributionFocalLoss(loss_weight=0.25)
    found = loss(x, goal, reduction_override="none")
    torch.testing.assert_close(found, 0.25 * torch.stack(expected))
    # least where all the weight is on the two numbers around the distance, in the right parts
    best = torch.full((1, 17), -50.0)
    best[0, 3], best[0, 4] = torch.log(torch.tensor([0.75, 0.25]))
    entropy = -(0.75 * torch.tensor(0.75).log() + 0.25 * torch.tensor(0.25).log())
    torch.testing.assert_close(loss(best, goal[1:2], reduction_override="none")[0], 0.25 * entropy)


def test_harmonized_losses_count_gradients() -> None:
    torch.manual_seed(0)
    x, label = torch.randn(50, 7), torch.randint(0, 8, (50,))
    weight = (torch.rand(50) > 0.2).float()
    goal = F.one_hot(label, 8)[:, :7].float()
    gradient = (x.sigmoid() - goal).abs()
    valid = weight[:, None].expand_as(x) > 0
    each = F.binary_cross_entropy_with_logits(x, goal, reduction="none")
    filled, expected = 0, torch.tensor(0.0)
    for i in range(10):
        chosen = (gradient >= i / 10) & (gradient < (i + 1) / 10) & valid
        if chosen.any():
            filled += 1
            expected += each[chosen].sum() / chosen.sum()
    torch.testing.assert_close(GHMC()(x, label, weight), expected / filled, rtol=1e-5, atol=1e-6)

    diff = torch.randn(50, 4) * 0.05
    smooth = torch.sqrt(diff**2 + 0.02**2) - 0.02
    part = (diff / torch.sqrt(diff**2 + 0.02**2)).abs()
    means = [smooth[(part >= i / 10) & (part < (i + 1) / 10)] for i in range(10)]
    averages = [one.mean() for one in means if len(one)]
    torch.testing.assert_close(GHMR()(diff, torch.zeros(50, 4)), torch.stack(averages).mean())


def test_harmonized_losses_remember() -> None:
    loss = GHMC(bins=4, momentum=0.75)
    assert set(loss.state_dict()) == {"edges", "acc_sum"}
    x = torch.zeros(8, 1)  # all gradients are 0.5: the third bin
    first = loss(x, torch.zeros(8, dtype=torch.long), torch.ones(8))
    assert loss.acc_sum.tolist() == [0, 0, 2, 0]
    # the bin seems to have 2 examples in place of 8
    torch.testing.assert_close(first, 4 * torch.tensor(2.0).log())
    loss(x, torch.zeros(8, dtype=torch.long), torch.ones(8))
    assert loss.acc_sum.tolist() == [0, 0, 3.5, 0]
    assert GHMC()(x, torch.zeros(8, dtype=torch.long), torch.zeros(8)) == 0


@pytest.mark.parametrize("iou_weighted", [True, False])
def test_varifocal_loss(iou_weighted: bool) -> None:
    x, label, score = logits(), labels(), torch.rand(400) * 0.9 + 0.1
    goal = table(label) * score[:, None]
    weight = torch.where(goal > 0, goal if iou_weighted else 1.0, 0.75 * x.sigmoid() ** 2)
    each = F.binary_cross_entropy_with_logits(x, goal, reduction="none") * weight
    loss = VarifocalLoss(iou_weighted=iou_weighted, loss_weight=2.0)
    torch.testing.assert_close(loss(x, goal, reduction_override="none"), 2 * each)
    torch.testing.assert_close(loss(x, goal, avg_factor=5), 2 * each.sum() / 5)
    torch.testing.assert_close(loss(x, (label, score)), 2 * each.mean())
    rows = torch.rand(400)
    found = loss(x, (label, score), rows, avg_factor=5)
    torch.testing.assert_close(found, 2 * (each * rows[:, None]).sum() / 5)
    with pytest.raises(BuildError, match="alpha"):
        VarifocalLoss(alpha=-1)
